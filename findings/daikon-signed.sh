#!/usr/bin/env bash
# daikon 1.2.46 (npm), pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: the DICOM reader of Papaya takes signed pixels as if their sign filled all of the bits allocated. Where 12
# bits are stored in 16 and the four above them are 0, -100 HU is 3996 HU. And a signed image whose low values are white
# (MONOCHROME1, or a PresentationLUTShape of INVERSE) is turned round as if it had no values below 0: all of them become
# the same, 2047, and half of the grey levels are gone. Nothing warns.
# Expected: -100, as pydicom, GDCM and DCMTK read it (PS3.5 8.1.1: the sign bit is the high bit of the bits stored), and
# an image turned round as a whole.
# Seen: "-1000, -100, -1, 0, 100, 1000: sign in 16 bits -1000, -100, -1, 0, 100, 1000; sign in 12 bits 3096, 3996, 4095,
# 0, 100, 1000 (pydicom -1000, -100, -1, 0, 100, 1000); MONOCHROME1 2047, 2047, 2047, 2047, 1947, 1047"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit daikon@1.2.46 > /dev/null
cat > read.js <<'JAVASCRIPT'
const fs = require("fs");
const daikon = require("daikon");

const bytes = fs.readFileSync(process.argv[2]);
const view = new DataView(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const image = daikon.Series.parseImage(view);
console.log(image.getInterpretedData(true).join(", "));
JAVASCRIPT
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

VALUES = [-1000, -100, -1, 0, 100, 1000]


def read(bits_above, photometric):
    """Return the pixels as daikon and as pydicom read them."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 1, 6, 1, photometric
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 1
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 1, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 0], "1", "0"
    made.PixelData = (np.array(VALUES, "<i2").view("<u2") & (0x0FFF | bits_above)).tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("signed.dcm", enforce_file_format=True)
    said = subprocess.run(["node", "read.js", "signed.dcm"], capture_output=True, text=True, check=True).stdout
    return said.strip(), ", ".join(map(str, dcmread("signed.dcm").pixel_array[0].tolist()))


filled, empty, white = read(0xF000, "MONOCHROME2"), read(0, "MONOCHROME2"), read(0xF000, "MONOCHROME1")
line = (
    f"{', '.join(map(str, VALUES))}: sign in 16 bits {filled[0]}; sign in 12 bits {empty[0]} (pydicom {empty[1]}); "
    f"MONOCHROME1 {white[0]}"
)
print(line)
expected = (
    "-1000, -100, -1, 0, 100, 1000: sign in 16 bits -1000, -100, -1, 0, 100, 1000; sign in 12 bits 3096, 3996, 4095, "
    "0, 100, 1000 (pydicom -1000, -100, -1, 0, 100, 1000); MONOCHROME1 2047, 2047, 2047, 2047, 1947, 1047"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
