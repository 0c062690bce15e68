#!/usr/bin/env bash
# dosemetrics 0.4.1, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: the distance of the planes of an RT Dose is taken from SliceThickness where that is there, as from the CT
# that was planned on, and the offsets that place the planes are not looked at: planes 3 mm apart with a SliceThickness
# of 1 lie within a third of their depth, and the hottest plane, at 30 mm, is at 10. Planes listed from head to foot are
# placed upwards: -30 mm is 30 mm. Nothing warns.
# Expected: the planes at GridFrameOffsetVector (PS3.3 C.8.8.3.2), upwards or downwards.
# Seen: "the hottest plane at 30 mm, SliceThickness 3: 30; SliceThickness 1: 10; at -30 mm, planes downwards: 30"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6 numba==0.68.1 \
    matplotlib==3.11.2 pandas==3.1.1 scikit-image==0.26.0 scipy==1.17.1 SimpleITK==2.5.7 nibabel==5.4.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps dosemetrics==0.4.1
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from dosemetrics import Dose
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid


def hottest(step, thickness):
    """Return where the eleventh of twenty planes lies, which alone has a dose, in mm."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = RTDoseStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "RTDOSE", "M", 1, 1
    made.DoseUnits, made.DoseType, made.DoseSummationType, made.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.01"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [3, 3], [1, 0, 0, 0, 1, 0], [0, 0, 0]
    made.NumberOfFrames, made.FrameIncrementPointer, made.SliceThickness = 20, 0x3004000C, thickness
    made.GridFrameOffsetVector = [step * plane for plane in range(20)]
    planes = np.zeros((20, 4, 4), "<u2")
    planes[10] = 7000
    made.PixelData = planes.tobytes()
    made["PixelData"].VR = "OW"
    made.save_as("dose.dcm", enforce_file_format=True)
    dose = Dose.from_dicom("dose.dcm")
    plane = int(dose.dose_array.max(axis=(1, 2)).argmax())
    return f"{dose.origin[2] + plane * dose.spacing[2]:.0f}"


line = (
    f"the hottest plane at 30 mm, SliceThickness 3: {hottest(3, 3)}; SliceThickness 1: {hottest(3, 1)}; "
    f"at -30 mm, planes downwards: {hottest(-3, 3)}"
)
print(line)
expected = "the hottest plane at 30 mm, SliceThickness 3: 30; SliceThickness 1: 10; at -30 mm, planes downwards: 30"
sys.exit(0 if line == expected else "this has changed")
PYTHON
