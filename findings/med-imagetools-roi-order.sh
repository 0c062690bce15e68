#!/usr/bin/env bash
# med-imagetools 2.16.0, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6, scikit-image 0.26.0.
# Behaviour: RTStructureSet takes the name of a structure and its contours by their places in two sequences, and does
# not read ReferencedROINumber, which ties them together. Where contours are listed in another order than names, the
# mask of the liver is the heart, and the other way round. Nothing warns.
# Expected: contours by ReferencedROINumber (PS3.3 C.8.8.6), in any order.
# Seen: "contours in the order of names: LIVER 484, HEART 196; in another: LIVER 196, HEART 484"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check med-imagetools==2.16.0 pydicom==3.0.2 \
    SimpleITK==2.5.7 numpy==2.4.6 scikit-image==0.26.0
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import SimpleITK as sitk
from imgtools.coretypes import MedImage
from imgtools.coretypes.masktypes.structureset import RTStructureSet
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

CONTOURS = {"LIVER": (4.5, 14.5), "HEART": (20.5, 26.5)}  # from and to, mm, in rows and columns
NUMBERS = {"LIVER": 1, "HEART": 2}


def item(**attributes):
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def contours(name):
    low, high = CONTOURS[name]
    planes = []
    for z in (3, 6, 9, 12):
        corners = [low, low, z, high, low, z, high, high, z, low, high, z]
        planes.append(item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=4, ContourData=corners))
    return item(ReferencedROINumber=NUMBERS[name], ContourSequence=planes)


def voxels(names, drawn):
    """Return the number of voxels of each structure."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, frame = generate_uid(), generate_uid(), generate_uid()
    made.PatientID, made.Modality, made.StructureSetLabel = "P", "RTSTRUCT", "S"
    series = item(SeriesInstanceUID=generate_uid(), ContourImageSequence=[])
    study = item(RTReferencedSeriesSequence=[series])
    made.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])]
    made.StructureSetROISequence = [
        item(ROINumber=NUMBERS[name], ROIName=name, ReferencedFrameOfReferenceUID=frame) for name in names
    ]
    made.ROIContourSequence = [contours(name) for name in drawn]
    made.save_as("structures.dcm", enforce_file_format=True)

    image = sitk.Image(40, 40, 6, sitk.sitkInt16)
    image.SetSpacing((1, 1, 3))
    structures = RTStructureSet.from_dicom("structures.dcm")
    counted = {
        name: structures.get_mask_ndarray(MedImage(image), name, (6, 40, 40, 1)).sum() for name in structures.roi_names
    }
    return ", ".join(f"{name} {counted[name]}" for name in names)


line = (
    f"contours in the order of names: {voxels(['LIVER', 'HEART'], ['LIVER', 'HEART'])}; "
    f"in another: {voxels(['LIVER', 'HEART'], ['HEART', 'LIVER'])}"
)
print(line)
expected = "contours in the order of names: LIVER 484, HEART 196; in another: LIVER 196, HEART 484"
sys.exit(0 if line == expected else "this has changed")
PYTHON
