#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: a CT series with 15 degrees of gantry tilt (positions along z, slices leaning) is assembled into an upright
# grid: slices are laid along their normal, so that the last of eleven lies 26 mm from where its header puts it. The call
# succeeds; ITK warns of non-uniform sampling for other faults, and here of nothing.
# Expected: an error, or a sheared grid.
# Seen: "the last slice is at (0.0, -25.9, 96.6) instead of (0, 0, 100): 26.1 mm off"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import math
import sys

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def slice_at(position, number, orientation=(1, 0, 0, 0, 1, 0)):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = ""
    made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.Modality, made.Manufacturer, made.InstanceNumber, made.SliceThickness = "CT", "M", number, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [1, 1], list(orientation), position
    made.PixelData = np.full((16, 16), number, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    return made


tilt = math.radians(15)
for number in range(11):
    leaning = (1, 0, 0, 0, math.cos(tilt), math.sin(tilt))
    slice_at([0, 0, 10 * number], number + 1, leaning).save_as(f"{number:02}.dcm", enforce_file_format=True)
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames("."))
last = reader.Execute().TransformIndexToPhysicalPoint((0, 0, 10))
off = math.dist(last, (0, 0, 100))
print(f"the last slice is at {tuple(round(x, 1) for x in last)} instead of (0, 0, 100): {off:.1f} mm off")
sys.exit(not 26 < off < 26.2)
PYTHON
