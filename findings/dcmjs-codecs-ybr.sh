#!/usr/bin/env bash
# dcmjs-codecs 0.0.8, dcmjs 0.51.1 (npm), pydicom 3.0.2, pylibjpeg 2.1.0, pylibjpeg-openjpeg 2.3.0, pyjpegls 1.5.1,
# numpy 2.4.6. Needs Node.js and npm.
# Behaviour: a colour image in YBR_FULL, as much ultrasound is, is transcoded to JPEG-LS or lossless JPEG 2000 with its
# pixels turned into RGB, and the file still says YBR_FULL: whoever reads it turns them round a second time. Red, as
# flow towards the transducer, becomes green. Nothing warns. RLE keeps the pixels and is right, as is an image in RGB.
# Expected: the same colours, with a PhotometricInterpretation of what the frame holds (PS3.5 8.2).
# Seen: "RGB 254 0 0: JPEG-LS 254 0 0, JPEG 2000 254 0 0, RLE 254 0 0; YBR_FULL 254 0 0: JPEG-LS 75 255 27, JPEG 2000 75
# 255 27, RLE 254 0 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 pylibjpeg==2.1.0 \
    pylibjpeg-openjpeg==2.3.0 pyjpegls==1.5.1 numpy==2.4.6
cd "$place"
npm install --silent --no-fund --no-audit dcmjs-codecs@0.0.8 dcmjs@0.51.1 > /dev/null
cat > transcode.js <<'JAVASCRIPT'
const fs = require("fs");
const { NativeCodecs, Transcoder } = require("dcmjs-codecs");

(async () => {
  await NativeCodecs.initializeAsync();
  const [from, to, syntax] = process.argv.slice(2);
  const bytes = fs.readFileSync(from);
  const transcoder = new Transcoder(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  transcoder.transcode(syntax);
  fs.writeFileSync(to, Buffer.from(transcoder.getDicomPart10()));
})();
JAVASCRIPT
"$place/env/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, UltrasoundImageStorage
from pydicom.uid import generate_uid

COLOURS = {"RGB": (254, 0, 0), "YBR_FULL": (76, 85, 255)}  # the same red
SYNTAXES = {"JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless, "RLE": RLELossless}


def words(pixels):
    return " ".join(map(str, pixels[0, 0].tolist()))


def read(space):
    """Return the colour before, and after each syntax, as pydicom reads it in RGB, and what the file says it holds."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UltrasoundImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "US", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 64, 64, 3, space
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PlanarConfiguration = 0
    made.PixelData = np.tile(np.array(COLOURS[space], np.uint8), (64, 64, 1)).tobytes()
    made.save_as("plain.dcm", enforce_file_format=True)
    after = []
    for name, syntax in SYNTAXES.items():
        subprocess.run(["node", "transcode.js", "plain.dcm", "packed.dcm", syntax], check=True)
        packed = dcmread("packed.dcm")
        if packed.PhotometricInterpretation != space:
            sys.exit(f"{name} says {packed.PhotometricInterpretation}")
        after.append(f"{name} {words(packed.pixel_array)}")
    return f"{space} {words(dcmread('plain.dcm').pixel_array)}: {', '.join(after)}"


line = f"{read('RGB')}; {read('YBR_FULL')}"
print(line)
expected = (
    "RGB 254 0 0: JPEG-LS 254 0 0, JPEG 2000 254 0 0, RLE 254 "
    "0 0; YBR_FULL 254 0 0: JPEG-LS 75 255 27, JPEG 2000 75 255 27, RLE 254 0 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
