#!/usr/bin/env bash
# dcmjs-imaging 0.2.5, dcmjs 0.51.1 (npm), pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: a window whose VOILUTFunction is LINEAR_EXACT is rendered half its width too high: at a centre of 40 HU and
# a width of 400 HU the centre is black and 240 HU, which should be white, is grey. Water and soft tissue are black.
# LINEAR and SIGMOID are right. Nothing warns.
# Expected: the centre at half of the grey levels, and white from 240 HU on (PS3.3 C.11.2.1.3.2).
# Seen: "grey of -160, 0, 40, 100, 240, 440 HU at 40 +- 200 HU: LINEAR 0, 102, 127, 166, 255, 255; LINEAR_EXACT 0, 0, 0,
# 38, 127, 255; SIGMOID 30, 102, 127, 164, 224, 250"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit dcmjs-imaging@0.2.5 dcmjs@0.51.1 > /dev/null
cat > render.js <<'JAVASCRIPT'
const fs = require("fs");
const { DicomImage } = require("dcmjs-imaging");

const bytes = fs.readFileSync("slice.dcm");
const image = new DicomImage(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const pixels = new Uint8Array(image.render().pixels); // red, green, blue and alpha
console.log(Array.from(pixels.slice(0, 24)).filter((_, place) => place % 4 === 0).join(", "));
JAVASCRIPT
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

UNITS = [-160, 0, 40, 100, 240, 440]


def rendered(function):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 6, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 1, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 0], "1", "-1024"
    made.WindowCenter, made.WindowWidth, made.VOILUTFunction = "40", "400", function
    made.PixelData = np.tile(np.array(UNITS, "<i2") + 1024, (4, 1)).astype("<u2").tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("slice.dcm", enforce_file_format=True)
    said = subprocess.run(["node", "render.js"], capture_output=True, text=True, check=True).stdout
    return f"{function} {said.strip()}"


line = (
    f"grey of {', '.join(map(str, UNITS))} HU at 40 +- 200 HU: {rendered('LINEAR')}; {rendered('LINEAR_EXACT')}; "
    f"{rendered('SIGMOID')}"
)
print(line)
expected = (
    "grey of -160, 0, 40, 100, 240, 440 HU at 40 +- 200 HU: LINEAR 0, 102, 127, 166, 255, 255; LINEAR_EXACT 0, 0, 0, "
    "38, 127, 255; SIGMOID 30, 102, 127, 164, 224, 250"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
