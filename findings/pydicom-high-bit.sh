#!/usr/bin/env bash
# pydicom 3.0.2, numpy 2.4.6.
# Behaviour: pixel_array ignores HighBit. An image of 12 bits in 16 whose bits lie high (BitsStored 12, HighBit 15, as older
# modalities stored them) comes out 16 times too bright, with overlay bits in the low four; nothing warns.
# Expected: values of 12 bits, or an error.
# Seen: "a stored 15 with HighBit 15 is read as 240"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
"$place/env/bin/python" -W error - <<'PYTHON'
import sys

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def slice_at(position, number, orientation=(1, 0, 0, 0, 1, 0)):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = ""
    made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.Modality, made.Manufacturer, made.InstanceNumber, made.SliceThickness = "CT", "M", number, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [1, 1], list(orientation), position
    made.PixelData = np.full((16, 16), number, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    return made


made = slice_at([0, 0, 0], 15)
made.HighBit = 15
made.PixelData = np.full((16, 16), 15 << 4, "<u2").tobytes()
made["PixelData"].VR = "OW"
read = int(made.pixel_array.max())
print(f"a stored 15 with HighBit 15 is read as {read}")
sys.exit(read != 240)
PYTHON
