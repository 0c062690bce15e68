#!/usr/bin/env bash
# dicom-csv 0.5.1, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: get_image and stack_images bring slope and intercept to the smallest type that can hold their size: a
# fraction to float16, which has three digits, and a whole number to 8 or 16 bits. A slope of 7.12345 is 7.125, one of
# 1e-8 is 0 and so is the image, an intercept of -1024.5 is -1024; and 6000 times 10 stays in the file's 16 bits: -5536.
# Nothing warns. PET has slopes of its own for each slice, maps of diffusion have small ones.
# Expected: stored value times RescaleSlope plus RescaleIntercept (PS3.3 C.11.1.1.2), in floats.
# Seen: "6000 x 10: -5536; 30000 x 7.12345: 213750 for 213703.5; 1000 x 1e-08: 0 for 1e-05; 1000 x 1 - 1024.5: -24 for
# -24.5; 60000 x 2: 54464 for 120000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom-csv==0.5.1 pydicom==3.0.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dicom_csv import get_image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def rescaled(value, slope, intercept="0", signed=1):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, signed
    made.RescaleSlope, made.RescaleIntercept = slope, intercept
    made.PixelData = np.full((4, 4), value, "<i2" if signed else "<u2").tobytes()
    return f"{float(get_image(made)[0, 0]):g}"


line = (
    f"6000 x 10: {rescaled(6000, '10')}; 30000 x 7.12345: {rescaled(30000, '7.12345')} for 213703.5; "
    f"1000 x 1e-08: {rescaled(1000, '1e-08')} for 1e-05; "
    f"1000 x 1 - 1024.5: {rescaled(1000, '1', '-1024.5')} for -24.5; "
    f"60000 x 2: {rescaled(60000, '2', signed=0)} for 120000"
)
print(line)
expected = (
    "6000 x 10: -5536; 30000 x 7.12345: 213750 for 213703.5; 1000 x 1e-08: 0 for 1e-05; 1000 x 1 - 1024.5: -24 for "
    "-24.5; 60000 x 2: 54464 for 120000"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
