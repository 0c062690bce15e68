#!/usr/bin/env bash
# dcmjs-imaging 0.2.5, dcmjs 0.51.1 (npm), pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: a RescaleSlope below 0.1 is replaced by 1, and the window stays: a PET with a slope of 0.05 is white all
# over at its own window. A slope of -1 is below 0.1, too: its image is black. The log says that the slope was adjusted
# because it is close to zero. And a Modality LUT is left out without a word: an image that one turns round is shown as
# it is stored.
# Expected: the slope and the table of the file (PS3.3 C.11.1).
# Seen: "grey of 0, 1000, 2000, 3000, 4000 as stored: slope 0.5 0, 63, 127, 191, 255; slope 0.05 0, 255, 255, 255, 255;
# slope -1 0, 0, 0, 0, 0 for 255, 191, 127, 63, 0; a modality LUT that turns round 0, 63, 127, 191, 255"
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
console.log(Array.from(pixels.slice(0, 20)).filter((_, place) => place % 4 === 0).join(", "));
JAVASCRIPT
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

STORED = [0, 1000, 2000, 3000, 4000]


def rendered(centre, slope=None, intercept="0", turned=False):
    """Return the grey levels at a window from 0 to twice its centre."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.ConversionType, made.SeriesNumber, made.InstanceNumber = "OT", "WSD", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 5, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    if slope:
        made.RescaleSlope, made.RescaleIntercept, made.RescaleType = slope, intercept, "US"
    if turned:
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "US"
        table.LUTData = np.arange(4095, -1, -1).astype("<u2").tobytes()
        made.ModalityLUTSequence = [table]
    made.WindowCenter, made.WindowWidth = f"{centre}", f"{2 * centre}"
    made.PixelData = np.tile(np.array(STORED, "<u2"), (4, 1)).tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("slice.dcm", enforce_file_format=True)
    said = subprocess.run(["node", "render.js"], capture_output=True, text=True, check=True).stdout
    return said.strip().split("\n")[-1]


line = (
    f"grey of {', '.join(map(str, STORED))} as stored: slope 0.5 {rendered(1000, '0.5')}; "
    f"slope 0.05 {rendered(100, '0.05')}; slope -1 {rendered(2000, '-1', '4000')} for 255, 191, 127, 63, 0; "
    f"a modality LUT that turns round {rendered(2000, turned=True)}"
)
print(line)
expected = (
    "grey of 0, 1000, 2000, 3000, 4000 as stored: slope 0.5 0, 63, 127, 191, 255; slope 0.05 0, 255, 255, 255, 255; "
    "slope -1 0, 0, 0, 0, 0 for 255, 191, 127, 63, 0; a modality LUT that turns round 0, 63, 127, 191, 255"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
