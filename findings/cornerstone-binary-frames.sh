#!/usr/bin/env bash
# @cornerstonejs/dicom-image-loader 5.0.13, @cornerstonejs/core 5.0.13, dicom-parser 1.8.21, esbuild 0.25.12 (npm),
# pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: of the frames of an image of one bit a pixel, as a segmentation is, those that begin within a byte are
# empty: the place of a frame is taken in bytes, with a fraction, at which there is none. Three frames of 5 x 5 pixels
# with three pixels set are 3, 0, 0; of 8 x 8 they are right. Nothing warns.
# Expected: frames follow each other bit by bit, without a gap (PS3.5 8.1.1), as pydicom reads them.
# Seen: "pixels set in three frames: of 5 x 5 3, 0, 0, of 8 x 8 3, 3, 3, of 33 x 33 3, 0, 0; pydicom: 3, 3, 3 of all"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit @cornerstonejs/dicom-image-loader@5.0.13 @cornerstonejs/core@5.0.13 \
    @cornerstonejs/metadata@5.0.13 @cornerstonejs/utils@5.0.13 esbuild@0.25.12 dicom-parser@1.8.21 > /dev/null
ln -s node_modules/@cornerstonejs/dicom-image-loader/dist/esm loader
"$place/env/bin/python" -W ignore - <<'PYTHON'
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

said = set()
for size in (5, 8, 33):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SegmentationStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.3.4", "SEG"
    made.PatientID = made.PatientName = "P"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = size, size, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation, made.NumberOfFrames = 1, 1, 0, 0, 3
    mask = np.zeros((3, size, size), np.uint8)
    mask[:, 1, 1:4] = 1
    packed = np.packbits(mask.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + bytes(len(packed) % 2)
    made["PixelData"].VR = "OB"
    made.save_as(f"{size}.dcm", enforce_file_format=True)
    said.add(", ".join(str(frame.sum()) for frame in dcmread(f"{size}.dcm").pixel_array))
Path("pydicom.txt").write_text(" or ".join(said))
PYTHON
cat > check.mjs <<'JAVASCRIPT'
import fs from "node:fs";
import dicomParser from "dicom-parser";
import getPixelData from "./loader/imageLoader/wadouri/getPixelData.js";

function set(size) {
  const dataSet = dicomParser.parseDicom(fs.readFileSync(`${size}.dcm`));
  return [0, 1, 2].map((frame) => getPixelData(dataSet, frame).reduce((sum, bit) => sum + bit)).join(", ");
}

const line =
  `pixels set in three frames: of 5 x 5 ${set(5)}, of 8 x 8 ${set(8)}, of 33 x 33 ${set(33)}; ` +
  `pydicom: ${fs.readFileSync("pydicom.txt", "utf8").trim()} of all`;
const expected =
  "pixels set in three frames: of 5 x 5 3, 0, 0, of 8 x 8 3, 3, 3, of 33 x 33 3, 0, 0; pydicom: 3, 3, 3 of all";
console.log(line);
process.exit(line === expected ? 0 : 1);
JAVASCRIPT
npx esbuild check.mjs --bundle --platform=node --format=cjs --log-level=error --outfile=bundle.cjs
timeout 60 node bundle.cjs
