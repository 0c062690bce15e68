#!/usr/bin/env bash
# pydicom 3.0.2, pyjpegls 1.4.0, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: compress to RLE Lossless takes the bytes of a colour image stored plane by plane (PlanarConfiguration 1, as
# much ultrasound has it) for pixel by pixel: the planes are cut into thirds, and every reader shows noise. Nothing
# warns, and the original pixels are gone from the data set. The same call with JPEG-LS, with the pixels handed over as
# an array, or for an image stored pixel by pixel is lossless.
# Expected: a lossless compression, or an error: the documentation says that the existing pixel data is compressed.
# Seen: "of 12288 bytes are wrong after compress to RLE Lossless: 0 pixel by pixel, 12232 plane by plane (12232 in
# SimpleITK), 0 plane by plane from an array; 0 plane by plane to JPEG-LS"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 pyjpegls==1.4.0 \
    SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, UltrasoundImageStorage, generate_uid

colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def wrong(planes, syntax, from_array=False):
    """Return the bytes that are not what they were, as pydicom and as SimpleITK read the compressed file."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UltrasoundImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "US", "M", 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 64, 64, 3, "RGB"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PlanarConfiguration = int(planes)
    made.PixelData = (colours.transpose(2, 0, 1) if planes else colours).tobytes()
    if not np.array_equal(made.pixel_array, colours):
        sys.exit("pydicom does not read the uncompressed image")
    if from_array:
        made.compress(syntax, made.pixel_array)
    else:
        made.compress(syntax)
    made.save_as("packed.dcm", enforce_file_format=True)
    read = [dcmread("packed.dcm").pixel_array]
    if syntax == RLELossless:
        read.append(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("packed.dcm")).reshape(colours.shape))
    return [int((pixels != colours).sum()) for pixels in read]


pixels, planes, array = wrong(False, RLELossless), wrong(True, RLELossless), wrong(True, RLELossless, True)
line = (
    f"of {colours.size} bytes are wrong after compress to RLE Lossless: {pixels[0]} pixel by pixel, {planes[0]} plane "
    f"by plane ({planes[1]} in SimpleITK), {array[0]} plane by plane from an array; "
    f"{wrong(True, JPEGLSLossless)[0]} plane by plane to JPEG-LS"
)
print(line)
expected = (
    "of 12288 bytes are wrong after compress to RLE Lossless: 0 pixel by pixel, 12232 plane by plane (12232 in "
    "SimpleITK), 0 plane by plane from an array; 0 plane by plane to JPEG-LS"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
