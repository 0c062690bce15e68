#!/usr/bin/env bash
# dcmjs 0.52.2 (npm), pydicom 3.0.2, numpy 2.4.6. Needs Node.js and npm.
# Behaviour: normalizeToDataset, which makes one multi-frame dataset of a series for segmentations and measurements to be
# derived from, writes the rescale of one slice as shared by all frames. In PET each slice has a slope of its own: slices
# of 1000, 2000, 3000 and 4000 Bq/ml become four of 1000, or of 4000 if the series is handed in the other way round. With
# datasets as its own reader returns them (pixels as a list of one buffer) every pixel becomes 0. Nothing warns.
# Expected: a PixelValueTransformationSequence for each frame, and the pixels, or an error.
# Seen: "activity in the files 1000, 2000, 3000, 4000; in the multi-frame dataset 1000, 1000, 1000, 1000, reversed 4000, 4000,
# 4000, 4000; with pixels as they were read 0, 0, 0, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit dcmjs@0.52.2 > /dev/null
"$place/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

for number in range(4):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Units, made.SeriesNumber, made.InstanceNumber = "PT", "BQML", 1, number + 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelSpacing, made.SliceThickness = [4, 4], 3
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * number]
    made.RescaleSlope, made.RescaleIntercept = str(number + 1), "0"
    made.PixelData = np.full((4, 4), 1000, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    made.save_as(f"{number}.dcm", enforce_file_format=True)
PYTHON
node - <<'JAVASCRIPT'
const fs = require("fs");
const dcmjs = require("dcmjs");

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const slices = [0, 1, 2, 3].map((number) => {
  const bytes = fs.readFileSync(`${number}.dcm`);
  const read = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const dataset = DicomMetaDictionary.naturalizeDataset(read.dict);
  dataset._meta = DicomMetaDictionary.namifyDataset(read.meta);
  return dataset;
});
const one = (sequence) => (Array.isArray(sequence) ? sequence[0] : sequence);
const stored = (bytes) => new Uint16Array(bytes)[0];

function activity(series) {
  const whole = dcmjs.normalizers.Normalizer.normalizeToDataset(series);
  const shared = one(one(whole.SharedFunctionalGroupsSequence).PixelValueTransformationSequence);
  const values = new Uint16Array(one(whole.PixelData));
  return whole.PerFrameFunctionalGroupsSequence.map((frame, number) => {
    const own = one(frame.PixelValueTransformationSequence) || shared;
    return values[number * 16] * Number(own.RescaleSlope);
  });
}

const asRead = activity(slices);
for (const slice of slices) slice.PixelData = one(slice.PixelData);
const files = slices.map((slice) => stored(slice.PixelData) * slice.RescaleSlope);
const [forwards, reversed] = [activity(slices), activity([...slices].reverse())];
console.log(
  `activity in the files ${files.join(", ")}; in the multi-frame dataset ${forwards.join(", ")}, reversed ` +
    `${reversed.join(", ")}; with pixels as they were read ${asRead.join(", ")}`,
);
const all = (value) => Array(4).fill(value).join();
const seen = files.join() === "1000,2000,3000,4000" && forwards.join() === all(1000) && reversed.join() === all(4000);
process.exit(seen && asRead.join() === all(0) ? 0 : 1);
JAVASCRIPT
