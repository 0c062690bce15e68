#!/usr/bin/env bash
# MONAI 1.6.1 (PydicomReader), SimpleITK 2.5.7, pydicom 3.0.2, torch 2.13.0, numpy 2.4.6.
# Behaviour: of nine CT slices 5 mm apart the fifth is missing. Both readers assemble eight slices with an even spacing
# of 40 / 7 = 5.71 mm: every slice but the outer two lies elsewhere than its header says, and volumes grow by 14 %.
# SimpleITK prints a warning to standard error, MONAI nothing.
# Expected: an error.
# Seen: "MONAI: 8 slices, spacing 5.714 mm; SimpleITK: 8 slices, spacing 5.714 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
mkdir "$place/series"
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from monai.data import PydicomReader
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


for number in (0, 1, 2, 3, 5, 6, 7, 8):
    slice_at([0, 0, 5 * number], number + 1).save_as(f"series/{number}.dcm", enforce_file_format=True)
reader = PydicomReader()
array, facts = reader.get_data(reader.read("series"))
series = sitk.ImageSeriesReader()
series.SetFileNames(series.GetGDCMSeriesFileNames("series"))
image = series.Execute()
monai, itk = float(facts["affine"][2, 2]), image.GetSpacing()[2]
print(f"MONAI: {array.shape[2]} slices, spacing {monai:.3f} mm; SimpleITK: {image.GetSize()[2]} slices, spacing {itk:.3f} mm")
sys.exit(not (array.shape[2] == image.GetSize()[2] == 8 and abs(monai - 40 / 7) < 1e-6 > abs(itk - 40 / 7)))
PYTHON
