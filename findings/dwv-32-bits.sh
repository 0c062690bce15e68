#!/usr/bin/env bash
# dwv 0.36.4 (npm), pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: pixels stored as integers of 32 bits are taken for floating-point numbers. RT Dose is mostly stored so: a
# dose of 70 Gy, stored as 700000, is 9.8e-40, and the largest numbers are negative. 16 bits are right. Nothing warns.
# Expected: the integers: Pixel Data is of integers whatever BitsAllocated is, and floats have an attribute of their own
# (PS3.3 C.7.6.3 and C.7.6.24).
# Seen: "1, 20, 70 Gy in 16 bits: 10, 200, 700; in 32 bits: 1.401298464324817e-41, 2.802596928649634e-40,
# 9.80908925027372e-40 for 10000, 200000, 700000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit dwv@0.36.4 > /dev/null
cat > read.mjs <<'JAVASCRIPT'
import fs from "node:fs";
import { createImage, DicomParser } from "dwv";

const bytes = fs.readFileSync(process.argv[2]);
const parser = new DicomParser();
parser.parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const image = createImage(parser.getDicomElements());
console.log([0, 1, 2].map((index) => image.getRescaledValue(index, 0, 0)).join(", "));
JAVASCRIPT
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid


def read(bits, scaling):
    """Return the stored doses of 1, 20 and 70 Gy, as dwv and as pydicom read them."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = RTDoseStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "RTDOSE", "M", 1, 1
    made.DoseUnits, made.DoseType, made.DoseSummationType, made.DoseGridScaling = "GY", "PHYSICAL", "PLAN", scaling
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 2, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits, bits - 1, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.SliceThickness = [2, 2], [1, 0, 0, 0, 1, 0], 2
    made.ImagePositionPatient = [0, 0, 0]
    stored = np.round(np.array([[1, 20, 70, 0]] * 2) / float(scaling)).astype(f"<u{bits // 8}")
    made.PixelData = stored.tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("dose.dcm", enforce_file_format=True)
    seen = subprocess.run(["node", "read.mjs", "dose.dcm"], capture_output=True, text=True, check=True).stdout.strip()
    return seen, ", ".join(str(value) for value in dcmread("dose.dcm").pixel_array[0, :3])


short, long = read(16, "0.1"), read(32, "0.0001")
line = f"1, 20, 70 Gy in 16 bits: {short[0]}; in 32 bits: {long[0]} for {long[1]}"
print(line)
expected = (
    "1, 20, 70 Gy in 16 bits: 10, 200, 700; in 32 bits: 1.401298464324817e-41, 2.802596928649634e-40, "
    "9.80908925027372e-40 for 10000, 200000, 700000"
)
sys.exit(0 if line == expected and short[0] == short[1] else "this has changed")
PYTHON
