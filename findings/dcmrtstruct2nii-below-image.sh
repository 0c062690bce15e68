#!/usr/bin/env bash
# dcmrtstruct2nii 5, pydicom 2.4.4, SimpleITK 2.5.7, scikit-image 0.25.2, numpy 1.26.4.
# Behaviour: a contour below the lowest slice of the image is drawn on its topmost slices: the number of its slice is
# negative, and counts from the end. A structure set made on a whole CT, converted with a series that was cut at its
# lower end, has a mask whose lower part lies at the top of the image, or one that is there altogether at the wrong end.
# Above the top the structure is left out with a line in the log.
# Expected: what lies outside is left out, at either end.
# Seen: "slices at z = 0, 3, 6, 9, 12, 15 mm; contours at -3 and 0 mm: mask at 0, 15; at -6 and -3 mm: mask at 12, 15;
# at 18 mm: no mask"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==2.4.4 numpy==1.26.4 SimpleITK==2.5.7 \
    scikit-image==0.25.2 cleo==2.1.0 termcolor==2.5.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dcmrtstruct2nii==5
cd "$place"
"$place/env/bin/python" -W ignore - > seen.txt 2> log.txt <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK
from dcmrtstruct2nii import dcmrtstruct2nii
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid


def save(made, kind, modality, path):
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.5"
    made.PatientID, made.PatientName, made.SpecificCharacterSet = "P", "P", "ISO_IR 192"
    made.Modality, made.Manufacturer, made.SeriesNumber = modality, "M", 1
    made.is_little_endian, made.is_implicit_VR = True, False
    made.save_as(path, write_like_original=False)


Path("ct").mkdir()
for number in range(6):  # slices of 3 mm from z = 0 to z = 15
    made = Dataset()
    made.SeriesInstanceUID, made.InstanceNumber = "1.2.3.4", number + 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 20, 20, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 3, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 3 * number], "1", "0"
    made.PixelData = np.zeros((20, 20), "<i2").tobytes()
    save(made, CTImageStorage, "CT", f"ct/{number}.dcm")


def square(z, left):
    """A contour of 5 mm x 5 mm, which holds 25 pixels."""
    made = Dataset()
    corners = ((left, 4), (left + 5, 4), (left + 5, 9), (left, 9))
    made.ContourGeometricType, made.NumberOfContourPoints = "CLOSED_PLANAR", 4
    made.ContourData = [value for x, y in corners for value in (x + 0.1, y + 0.1, z)]
    return made


def masks(structures, **options):
    """Return the masks by the names of their files, for structures of a name and contours each."""
    made = Dataset()
    made.SeriesInstanceUID = "1.2.3.6"
    made.StructureSetROISequence, made.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(structures, start=1):
        known, drawn = Dataset(), Dataset()
        known.ROINumber = drawn.ReferencedROINumber = number
        known.ROIName, drawn.ContourSequence = name, contours
        made.StructureSetROISequence.append(known)
        made.ROIContourSequence.append(drawn)
    save(made, RTStructureSetStorage, "RTSTRUCT", "structures.dcm")
    folder = Path(f"masks{len(list(Path().iterdir()))}")
    dcmrtstruct2nii("structures.dcm", "ct", str(folder), convert_original_dicom=False, **options)
    paths = sorted(folder.glob("*.nii.gz"))
    return {path.name: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) for path in paths}


def where(*heights):
    found = masks([("LIVER", [square(z, 3) for z in heights])])
    if not found:
        return "no mask"
    at = np.flatnonzero(found["mask_LIVER.nii.gz"].any(axis=(1, 2))) * 3
    return f"mask at {', '.join(map(str, at))}"


line = (
    f"slices at z = 0, 3, 6, 9, 12, 15 mm; contours at -3 and 0 mm: {where(-3, 0)}; at -6 and -3 mm: {where(-6, -3)}; "
    f"at 18 mm: {where(18)}"
)
print(line)
expected = (
    "slices at z = 0, 3, 6, 9, 12, 15 mm; contours at -3 and 0 mm: mask at 0, 15; at -6 and -3 mm: mask at 12, 15; at "
    "18 mm: no mask"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
tail -n 1 seen.txt
