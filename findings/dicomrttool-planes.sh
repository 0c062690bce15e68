#!/usr/bin/env bash
# DicomRTTool 6.2.0, NiftiResampler 0.1.1, SimpleITK 2.5.7, pydicom 3.0.2, scikit-image 0.26.0, opencv-python-headless
# 5.0.0.93, pandas 3.1.1, numpy 2.4.6.
# Behaviour: the slice of a contour is the one whose third coordinate is nearest, however far away it is and whatever
# way the slices lie. All contours of a sagittal or coronal MR come into its first slice, where they cancel each other
# two by two: a structure of three slices is in one, another one of two slices is empty. In slices tilted by 45 degrees
# they lie a slice off. On an axial image a structure 15 mm above its top is drawn on the top slice, and contours at 1.5
# mm on slices of 3 mm cancel each other. Nothing warns.
# Expected: the slice whose plane the contour lies in, and nothing where there is none.
# Seen: "pixels by slice, of contours on the 2nd to 4th of six: axial 0, 36, 36, 36, 0, 0; sagittal 36, 0, 0, 0, 0, 0;
# on the 2nd and 3rd of a sagittal 0, 0, 0, 0, 0, 0; coronal 36, 0, 0, 0, 0, 0; tilted by 45 degrees 0, 0, 36, 36, 36,
# 0; 15 mm above an axial 0, 0, 0, 0, 0, 36; at 1.5 mm on an axial 0, 0, 0, 0, 0, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 scikit-image==0.26.0 \
    opencv-python-headless==5.0.0.93 pandas==3.1.1 tqdm==4.70.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dicomrttool==6.2.0 NiftiResampler==0.1.1
cd "$place"
"$place/env/bin/python" -W ignore - 2> log.txt <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from DicomRTTool.ReaderWriter import DicomReaderWriter
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RTStructureSetStorage, generate_uid

SPACING = 3.0  # mm
SLICES = 6


def item(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def save(made, kind, modality, frame, path):
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.FrameOfReferenceUID, made.PatientID, made.PatientName, made.Modality = frame, "P", "P", modality
    made.StudyDate = made.StudyTime = made.StudyID = made.AccessionNumber = made.Manufacturer = ""
    made.save_as(path, enforce_file_format=True)


def pixels(name, orientation, heights):
    """Return the pixels of a structure in each of six slices, for contours at these heights over the first (mm)."""
    folder = Path(name.replace(" ", "-"))
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    images = []
    for number in range(SLICES):
        made = item(StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=generate_uid())
        made.SeriesNumber, made.InstanceNumber, made.SeriesDescription = 1, number + 1, "MR"
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 20, 20, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], SPACING, list(orientation)
        made.ImagePositionPatient = [round(float(value), 4) for value in SPACING * number * normal]
        made.PixelData = np.full((20, 20), number, "<i2").tobytes()
        made["PixelData"].VR = "OW"
        save(made, MRImageStorage, "MR", frame, folder / f"{number}.dcm")
        images.append(item(ReferencedSOPClassUID=MRImageStorage, ReferencedSOPInstanceUID=made.SOPInstanceUID))
    contours = []
    for height in heights:
        points = [x * row + y * column for x, y in ((4.1, 4.1), (9.1, 4.1), (9.1, 9.1), (4.1, 9.1))]
        flat = [round(float(value), 3) for point in points for value in point + height * normal]
        contours.append(item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=4, ContourData=flat))
    made = item(StudyInstanceUID=study, SeriesInstanceUID=generate_uid(), SOPInstanceUID=generate_uid())
    made.StructureSetLabel = "structures"
    of_series = item(SeriesInstanceUID=series, ContourImageSequence=images)
    of_study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=study,
        RTReferencedSeriesSequence=[of_series],
    )
    made.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[of_study])]
    made.StructureSetROISequence = [
        item(ROINumber=1, ROIName="LIVER", ReferencedFrameOfReferenceUID=frame, ROIGenerationAlgorithm="MANUAL")
    ]
    made.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=contours)]
    made.RTROIObservationsSequence = [
        item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="ORGAN", ROIInterpreter="")
    ]
    save(made, RTStructureSetStorage, "RTSTRUCT", frame, folder / "structures.dcm")
    reader = DicomReaderWriter(verbose=False)
    reader.walk_through_folders(str(folder))
    reader.set_contour_names_and_associations(contour_names=["LIVER"])
    reader.set_index(0)
    reader.get_images_and_mask()
    if reader.ArrayDicom[:, 0, 0].tolist() != list(range(SLICES)):
        sys.exit("the slices are read in another order")
    return f"{name} {', '.join(str(int(part.sum())) for part in reader.mask)}"


axial, sagittal, coronal = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)
half = 0.70710678
seen = [
    pixels("axial", axial, [3, 6, 9]),
    pixels("sagittal", sagittal, [3, 6, 9]),
    pixels("on the 2nd and 3rd of a sagittal", sagittal, [3, 6]),
    pixels("coronal", coronal, [3, 6, 9]),
    pixels("tilted by 45 degrees", (1, 0, 0, 0, half, half), [3, 6, 9]),
    pixels("15 mm above an axial", axial, [30]),
    pixels("at 1.5 mm on an axial", axial, [3, 4.4, 6, 7.4]),
]
line = f"pixels by slice, of contours on the 2nd to 4th of six: {'; '.join(seen)}"
print(line)
expected = (
    "pixels by slice, of contours on the 2nd to 4th of six: axial 0, 36, 36, 36, 0, 0; sagittal 36, 0, 0, 0, 0, 0; on "
    "the 2nd and 3rd of a sagittal 0, 0, 0, 0, 0, 0; coronal 36, 0, 0, 0, 0, 0; tilted by 45 degrees 0, 0, 36, 36, 36, "
    "0; 15 mm above an axial 0, 0, 0, 0, 0, 36; at 1.5 mm on an axial 0, 0, 0, 0, 0, 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
