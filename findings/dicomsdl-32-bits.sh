#!/usr/bin/env bash
# dicomsdl 0.109.4, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: pixelData() takes what is stored in 32 bits for numbers of 16: each voxel becomes two, its low half and its
# high half, and the second half of the grid is left out. RT Dose is mostly stored so: of doses of 1, 20, 50 and 70 Gy
# at a scaling of 0.0001 only two are there, as 10000, 0, 3392, 3. The shape is right, and getPixelDataInfo() says 32
# bits. Nothing warns; doses of 16 bits are right.
# Expected: the numbers in the file, or an error.
# Seen: "1, 20, 50, 70 Gy in 16 bits: 10, 200, 500, 700; in 32 bits: 10000, 0, 3392, 3 for 10000, 200000, 500000,
# 700000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicomsdl==0.109.4 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import dicomsdl
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid


def read(bits, scaling):
    """Return the stored doses of 1, 20, 50 and 70 Gy, as pydicom and as dicomsdl read them."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = RTDoseStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "RTDOSE", "M", 1, 1
    made.DoseUnits, made.DoseType, made.DoseSummationType, made.DoseGridScaling = "GY", "PHYSICAL", "PLAN", scaling
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 1, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits, bits - 1, 0
    made.PixelSpacing, made.ImageOrientationPatient = [2, 2], [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [0, 0, 0]
    stored = np.round(np.array([[1, 20, 50, 70]]) / float(scaling)).astype(f"<u{bits // 8}")
    made.PixelData = stored.tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("dose.dcm", enforce_file_format=True)
    both = dcmread("dose.dcm").pixel_array, dicomsdl.open("dose.dcm").pixelData(storedvalue=True)
    return [", ".join(str(int(value)) for value in array[0]) for array in both]


short, long = read(16, "0.1"), read(32, "0.0001")
line = f"1, 20, 50, 70 Gy in 16 bits: {short[1]}; in 32 bits: {long[1]} for {long[0]}"
print(line)
expected = (
    "1, 20, 50, 70 Gy in 16 bits: 10, 200, 500, 700; in 32 bits: 10000, 0, 3392, 3 for 10000, 200000, 500000, "
    "700000"
)
sys.exit(0 if line == expected and short[0] == short[1] else "this has changed")
PYTHON
