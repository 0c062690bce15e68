#!/usr/bin/env bash
# dicom2gif 1.2.0, pydicom 3.0.2, numpy 2.4.6, pillow 13.0.0.
# Behaviour: the window of a CT, in Hounsfield units, is laid on the stored numbers: with an intercept of -1024 all that
# is denser than air is white. Where a slice lists two windows, one for soft tissue and one for lungs, their mean is
# taken, which is neither. And what is left is stretched from its least to its greatest value: the same tissue has
# another grey beside other tissue. Nothing warns.
# Expected: the window after RescaleSlope and RescaleIntercept (PS3.3 C.11.2.1.2), and one of the windows listed.
# Seen: "air, water, muscle and contrast medium at 40/400: 0, 255, 255, 255 for 0, 102, 134, 230; with an intercept of
# 0: 0, 113, 148, 255; 40/400 and -600/1500: 0, 255, 255, 255"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom2gif==1.2.0 pydicom==3.0.2 numpy==2.4.6 \
    pillow==13.0.0
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import tempfile

import numpy as np
from dicom2gif import read_dir, write
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

HU = np.array([-1000, 0, 50, 200])


def grey(intercept, centre, width):
    """Return the grey levels that are written of a series of two slices."""
    folder, study, series = tempfile.mkdtemp(dir="."), generate_uid(), generate_uid()
    for number in range(2):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.PatientID, made.Modality = study, series, "P", "CT"
        made.InstanceNumber, made.AcquisitionDateTime = number + 1, f"2026010112000{number}"
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelSpacing, made.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [0, 0, 3 * number]
        made.RescaleSlope, made.RescaleIntercept = "1", str(intercept)
        made.WindowCenter, made.WindowWidth = centre, width
        made.PixelData = np.tile(HU - intercept, (4, 1)).astype("<i2").tobytes()
        made["PixelData"].VR = "OW"
        made.save_as(f"{folder}/{number}.dcm", enforce_file_format=True)
    (one,) = read_dir(folder).values()
    write(one, f"{folder}/out.gif", duration=100)
    return ", ".join(map(str, np.asarray(Image.open(f"{folder}/out.gif").convert("L"))[0]))


right = np.clip(((HU - 39.5) / 399 + 0.5) * 255, 0, 255)
line = (
    f"air, water, muscle and contrast medium at 40/400: {grey(-1024, 40, 400)} for "
    f"{', '.join(f'{value:.0f}' for value in right)}; with an intercept of 0: {grey(0, 40, 400)}; "
    f"40/400 and -600/1500: {grey(-1024, [40, -600], [400, 1500])}"
)
print(line)
expected = (
    "air, water, muscle and contrast medium at 40/400: 0, 255, 255, 255 for 0, 102, 134, 230; with an intercept of 0: "
    "0, 113, 148, 255; 40/400 and -600/1500: 0, 255, 255, 255"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
