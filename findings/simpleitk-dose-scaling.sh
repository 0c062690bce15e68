#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: ITK rescales CT, MR and PET, but not RT Dose: DoseGridScaling is not applied, so that voxels are whole
# numbers and not gray. GridFrameOffsetVector with uneven steps becomes an even grid of the first step. Both without a
# warning.
# Expected: gray, as pydicom's user would compute them, and an error for the uneven grid.
# Seen: "stored 4000 at 0.0005 Gy reads as 4000; planes at 0, 3, 9, 12 mm: the last at 9 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid

dose = Dataset()
dose.file_meta = FileMetaDataset()
dose.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
dose.file_meta.MediaStorageSOPClassUID = dose.SOPClassUID = RTDoseStorage
dose.file_meta.MediaStorageSOPInstanceUID = dose.SOPInstanceUID = generate_uid()
dose.StudyInstanceUID, dose.SeriesInstanceUID, dose.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
dose.PatientID = dose.PatientName = "P"
dose.PatientBirthDate = dose.PatientSex = dose.StudyDate = dose.StudyTime = dose.AccessionNumber = dose.StudyID = ""
dose.Modality, dose.Manufacturer, dose.InstanceNumber = "RTDOSE", "M", 1
dose.DoseUnits, dose.DoseType, dose.DoseSummationType, dose.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.0005"
dose.NumberOfFrames, dose.FrameIncrementPointer, dose.GridFrameOffsetVector = 4, 0x3004000C, [0, 3, 9, 12]
dose.PixelSpacing, dose.ImageOrientationPatient, dose.ImagePositionPatient = [2, 2], [1, 0, 0, 0, 1, 0], [0, 0, 0]
dose.Rows, dose.Columns, dose.SamplesPerPixel, dose.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
dose.BitsAllocated, dose.BitsStored, dose.HighBit, dose.PixelRepresentation = 16, 16, 15, 0
dose.PixelData = np.full((4, 8, 8), 4000, "<u2").tobytes()
dose["PixelData"].VR = "OW"
dose.save_as("dose.dcm", enforce_file_format=True)

image = sitk.ReadImage("dose.dcm")
value, last = float(sitk.GetArrayFromImage(image)[0, 0, 0]), image.TransformIndexToPhysicalPoint((0, 0, 3))[2]
print(f"stored 4000 at 0.0005 Gy reads as {value:g}; planes at 0, 3, 9, 12 mm: the last at {last:g} mm")
sys.exit((value, last) != (4000, 9))
PYTHON
