#!/usr/bin/env bash
# dcmrtstruct2nii 5, pydicom 2.4.4, SimpleITK 2.5.7, scikit-image 0.25.2, numpy 1.26.4.
# Behaviour: the name of a mask's file is that of its structure less all that is no Latin letter or digit, and a file
# that is there is written over. Of a liver and a spleen named in Japanese there is one file, mask_.nii.gz, with the
# spleen; PTV 1.5 and PTV 15, or CTV+ and CTV, are one file, too. Nothing warns. And a background other than 0 turns the
# mask round: with 1 for the background and 2 for the structure, the slices that show it have 2 outside.
# Expected: a file for each structure, or an error; the values that were asked for.
# Seen: "two structures of 25 pixels at 3 and 6 mm: 肝臓 and 脾臓 are mask_.nii.gz at 6 mm; PTV 1.5 and PTV 15 are
# mask_PTV-15.nii.gz at 6 mm; in a slice of 400 pixels 25 are the structure, with background 1 375"
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


def of(first, second):
    found = masks([(first, [square(3, 3)]), (second, [square(6, 8)])])
    places = [f"{name} at {3 * np.flatnonzero(mask.any(axis=(1, 2)))[0]} mm" for name, mask in found.items()]
    return f"{first} and {second} are {', '.join(places)}"


def pixels(structure, **options):
    """Return how many pixels of the slice that shows a structure have its value."""
    mask = masks([("LIVER", [square(3, 3)])], **options)["mask_LIVER.nii.gz"]
    return int((mask[1] == structure).sum())


line = (
    f"two structures of 25 pixels at 3 and 6 mm: {of('肝臓', '脾臓')}; {of('PTV 1.5', 'PTV 15')}; in a slice of 400 pixels "
    f"{pixels(255)} are the structure, with background 1 {pixels(2, mask_background_value=1, mask_foreground_value=2)}"
)
print(line)
expected = (
    "two structures of 25 pixels at 3 and 6 mm: 肝臓 and 脾臓 are mask_.nii.gz at 6 mm; PTV 1.5 and PTV 15 are "
    "mask_PTV-15.nii.gz at 6 mm; in a slice of 400 pixels 25 are the structure, with background 1 375"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
tail -n 1 seen.txt
