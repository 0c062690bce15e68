#!/usr/bin/env bash
# dicom2jpg 0.1.10, pydicom 3.0.2, opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Behaviour: after the window of the file is applied, the grey levels are stretched from the image's least value to its
# greatest. The same 0 HU, at the same window of 40 +- 200 HU, is 102 in a slice with air and bone, 0 in a slice of soft
# tissue alone, and 156 where there is air and no bone: slices of one patient differ in contrast, and a network can read
# from the grey level what else is in the slice. An even slice is black. The documentation promises "what we see on
# standard DICOM viewers", which give 102 each time.
# Expected: a fixed grey level for a Hounsfield unit at a window (PS3.3 C.11.2.1.2).
# Seen: "0 HU at a window of 40 +- 200 HU: with air and bone 102, soft tissue 0, without bone 156, without air 0; an
# even slice of 40 HU: 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dicom2jpg==0.1.10
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import dicom2jpg
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def grey(*units):
    """Return the grey level of the first of these Hounsfield units in a slice that has them all."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.InstanceNumber = "CT", "M", 1
    made.Rows, made.Columns, made.SamplesPerPixel = 4, len(units), 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleSlope, made.RescaleIntercept = "1", "0"
    made.WindowCenter, made.WindowWidth = "40", "400"
    made.PixelData = np.tile(np.array(units, "<i2"), (4, 1)).tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("slice.dcm", enforce_file_format=True)
    return int(dicom2jpg.dicom2img("slice.dcm")[0, 0])


line = (
    f"0 HU at a window of 40 +- 200 HU: with air and bone {grey(0, -1000, 100, 1000)}, soft tissue {grey(0, 40, 100)}, "
    f"without bone {grey(0, -1000, 40, 100)}, without air {grey(0, 40, 100, 3000)}; "
    f"an even slice of 40 HU: {grey(40, 40)}"
)
print(line)
expected = (
    "0 HU at a window of 40 +- 200 HU: with air and bone 102, soft tissue 0, without bone 156, without air 0; an even "
    "slice of 40 HU: 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
