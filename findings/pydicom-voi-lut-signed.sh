#!/usr/bin/env bash
# pydicom 3.0.2, numpy 2.4.6.
# Behaviour: the same CT with a VOI LUT that begins at -1024 HU is shown right from a file in explicit VR, and is black
# from one in implicit VR. There the type of LUTDescriptor is not stated, and pydicom takes it from PixelRepresentation,
# 0 as in most CT: the LUT begins at 64512, and all values are below. The standard (PS3.3 C.11.2.1.1) says that it is
# signed where the rescaled values may be, and names Hounsfield units. Converting such a file to explicit VR by pydicom
# writes 64512 down for good.
# Expected: -1024 from both files, and the same values.
# Seen: "explicit: LUT from -1024, shown as [0, 26368, 34048, 39168, 65504]; implicit: LUT from 64512, shown as [0, 0,
# 0, 0, 0]; converted: LUT from 64512, shown as [0, 0, 0, 0, 0]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

stored = np.array([[0, 824, 1064, 1224, 3000]], "<u2")  # -1024, -200, 40, 200 and 1976 HU


def scan(syntax):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.Rows, made.Columns = stored.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
    table = Dataset()
    table.add_new("LUTDescriptor", "SS", [2048, -1024, 16])
    table.add_new("LUTData", "OW", np.arange(0, 65536, 32, "<u2").tobytes())
    made.VOILUTSequence = [table]
    made.add_new("PixelData", "OW", stored.tobytes())
    return made


def describe(path):
    read = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(read.pixel_array, read), read)
    return f"LUT from {read.VOILUTSequence[0].LUTDescriptor[1]}, shown as {shown.ravel().tolist()}"


for name, syntax in (("explicit", ExplicitVRLittleEndian), ("implicit", ImplicitVRLittleEndian)):
    scan(syntax).save_as(name, enforce_file_format=True)
converted = dcmread("implicit")
converted.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
converted.save_as("converted", implicit_vr=False, little_endian=True, enforce_file_format=True)
line = "; ".join(f"{name}: {describe(name)}" for name in ("explicit", "implicit", "converted"))
print(line)
expected = (
    "explicit: LUT from -1024, shown as [0, 26368, 34048, 39168, 65504]; implicit: LUT from 64512, shown as "
    "[0, 0, 0, 0, 0]; converted: LUT from 64512, shown as [0, 0, 0, 0, 0]"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
