#!/usr/bin/env bash
# pydicom 3.0.2, numpy 2.4.6, pillow 13.0.0, SimpleITK 2.5.7.
# Behaviour: where PlanarConfiguration is 1 beside a JPEG in colour, as some ultrasound machines and exporters write it,
# pixel_array takes what the decoder gives, the colours of a pixel beside one another, for three planes: noise, and no warning.
# Expected: PlanarConfiguration does not say how a decoder's output lies (PS3.3 C.7.6.3.1.3): the picture, as GDCM reads it.
# Seen: "mean error of pydicom 89, of SimpleITK 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 pillow==13.0.0 SimpleITK==2.5.7
"$place/env/bin/python" -W error - "$place/a.dcm" <<'PYTHON'
import sys
from io import BytesIO

import numpy as np
import SimpleITK
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid

across, down = np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 4))
colours = np.stack([across, down, 255 - across], -1).astype(np.uint8)
jpeg = BytesIO()
Image.fromarray(colours).save(jpeg, "JPEG", quality=98, subsampling=0)
made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
made.PatientID = made.PatientName = "P"
made.Modality = "US"
made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 64, 64, 3, "YBR_FULL_422"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
made.PlanarConfiguration = 1
made.PixelData = encapsulate([jpeg.getvalue()])
made["PixelData"].VR = "OB"
made.save_as(sys.argv[1], enforce_file_format=True)
ours = dcmread(sys.argv[1]).pixel_array
theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(sys.argv[1]))[0]
errors = [float(np.abs(found.astype(float) - colours).mean()) for found in (ours, theirs)]
print("mean error of pydicom {:.0f}, of SimpleITK {:.0f}".format(*errors))
sys.exit(not (errors[0] > 50 and errors[1] < 2))
PYTHON
