#!/usr/bin/env bash
# med-imagetools 2.16.0, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: PET.from_dicom, whose images are SUVs by default, multiplies by a private factor of one maker, and by 1
# where it is missing: a PET in Bq/ml whose header has the dose, its times and the weight has an SUV of 5000 where it is
# 1.38. The log says that the factor is calculated from the metadata; that code is commented out. Activity asked for
# (ACT) is the same. And values below 0 lose their sign: -200 is 200.
# Expected: SUV by body weight from the header, as QIBA's pseudocode, which the docstring names, has it, or a refusal.
# Seen: "5000 and -200 Bq/ml, 70 kg, 370 MBq an hour before: SUV 5000, 200; ACT 5000, 200; SUV by the header 1.38,
# -0.06"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check med-imagetools==2.16.0 pydicom==3.0.2 \
    SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
mkdir series
cat > run.py <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from imgtools.coretypes.imagetypes.pet import PET, PETImageType
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

tracer = Dataset()
tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "370000000", "6586.2"
tracer.RadiopharmaceuticalStartTime, tracer.RadiopharmaceuticalStartDateTime = "110000", "20260101110000"
study, series, frame = generate_uid(), generate_uid(), generate_uid()
for number in range(3):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
    made.PatientID, made.PatientWeight, made.Modality = "P", "70", "PT"
    made.Units, made.DecayCorrection = "BQML", "START"
    made.SeriesDate = made.AcquisitionDate = made.StudyDate = "20260101"
    made.SeriesTime = made.AcquisitionTime = made.StudyTime = "120000"
    made.CorrectedImage, made.RadiopharmaceuticalInformationSequence = ["ATTN", "DECY"], [tracer]
    made.SeriesNumber, made.InstanceNumber, made.SliceThickness = 1, number + 1, 3
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 4, 4, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelSpacing, made.ImageOrientationPatient = [4, 4], [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient, made.RescaleSlope, made.RescaleIntercept = [0, 0, 3 * number], "1", "0"
    pixels = np.full((4, 4), 5000, "<i2")
    pixels[0, 0] = -200
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    made.save_as(f"series/{number}.dcm", enforce_file_format=True)


def values(kind):
    image = sitk.GetArrayFromImage(PET.from_dicom("series", pet_image_type=kind))
    return f"{image[0, 1, 1]:g}, {image[0, 0, 0]:g}"


factor = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))
line = (
    f"5000 and -200 Bq/ml, 70 kg, 370 MBq an hour before: SUV {values(PETImageType.SUV)}; "
    f"ACT {values(PETImageType.ACT)}; SUV by the header {5000 * factor:.2f}, {-200 * factor:.2f}"
)
print(line)
expected = (
    "5000 and -200 Bq/ml, 70 kg, 370 MBq an hour before: SUV 5000, 200; ACT 5000, 200; SUV by the header 1.38, -0.06"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
env/bin/python -W ignore run.py 2> said.txt | grep MBq || { cat said.txt; exit 1; }
