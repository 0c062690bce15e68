#!/usr/bin/env bash
# dcmjs-codecs 0.0.8, dcmjs 0.51.1 (npm), pydicom 3.0.2, pylibjpeg 2.1.0, pylibjpeg-libjpeg 2.5.0, pyjpegls 1.5.1, numpy
# 2.4.6. Needs Node.js and npm.
# Behaviour: a signed image of 12 bits, as many CT are, transcoded to JPEG Lossless has samples of 16 bits in a frame
# whose header says 12: a negative number is written as 2^16 less its size, beyond what 12 bits hold. A decoder that
# keeps to the header, as libjpeg of the JPEG group and so pydicom does, cuts it off: all that is below 0 HU reads as
# -1, air, lung and fat alike, while bone stays. dcmjs itself reads its own file back unchanged, so that no test of its
# own shows it. GDCM and DCMTK write 16 bits in the header for the same image. Images of 16 bits are right, and so are
# JPEG-LS, JPEG 2000 and RLE.
# Expected: samples within the precision of the frame (ITU-T T.81, B.2.2), and the same pixels in every reader.
# Seen: "-1024, -700, -100, -1, 0, 40, 1016 HU in JPEG Lossless: 12 bits -1, -1, -1, -1, 0, 40, 1016 (frame says 12), 16
# bits -1024, -700, -100, -1, 0, 40, 1016 (frame says 16); 12 bits in JPEG-LS: -1024, -700, -100, -1, 0, 40, 1016"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 pylibjpeg==2.1.0 \
    pylibjpeg-libjpeg==2.5.0 pyjpegls==1.5.1 numpy==2.4.6
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
from pydicom.encaps import generate_frames
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless, generate_uid

UNITS = [-1024, -700, -100, -1, 0, 40, 1016]


def transcoded(bits, syntax):
    """Return the first row as pydicom reads it, and the bytes of the frame."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "CT", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 7, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, bits, bits - 1, 1
    made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [1, 1], 1, [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 0], "1", "0"
    made.PixelData = np.tile(np.array(UNITS, "<i2"), (8, 1)).tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("plain.dcm", enforce_file_format=True)
    subprocess.run(["node", "transcode.js", "plain.dcm", "packed.dcm", syntax], check=True)
    subprocess.run(["node", "transcode.js", "packed.dcm", "back.dcm", ExplicitVRLittleEndian], check=True)
    if dcmread("back.dcm").pixel_array[0].tolist() != UNITS:
        sys.exit("dcmjs-codecs does not read back what it wrote")
    packed = dcmread("packed.dcm")
    return words(packed.pixel_array[0].tolist()), next(generate_frames(packed.PixelData, number_of_frames=1))


def words(values):
    return ", ".join(map(str, values))


twelve, sixteen = (transcoded(bits, JPEGLosslessSV1) for bits in (12, 16))
precisions = [frame[frame.index(b"\xff\xc3") + 4] for _, frame in (twelve, sixteen)]
line = (
    f"{words(UNITS)} HU in JPEG Lossless: 12 bits {twelve[0]} (frame says {precisions[0]}), 16 bits {sixteen[0]} "
    f"(frame says {precisions[1]}); 12 bits in JPEG-LS: {transcoded(12, JPEGLSLossless)[0]}"
)
print(line)
expected = (
    "-1024, -700, -100, -1, 0, 40, 1016 HU in JPEG Lossless: 12 bits -1, -1, -1, -1, 0, 40, 1016 (frame says 12), 16 "
    "bits -1024, -700, -100, -1, 0, 40, 1016 (frame says 16); 12 bits in JPEG-LS: -1024, -700, -100, -1, 0, 40, 1016"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
