#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: ITK's DICOM reader turns the grey values of a MONOCHROME1 film round (4095 - value for 12 bits), and leaves
# MONOCHROME1 in the metadata: who inverts by that tag, as the standard says, turns them back. pydicom gives the stored
# ones. With a rescale intercept the values turned round are rescaled, so that the numbers are those of no pixel in the
# file.
# Expected: the stored values, or MONOCHROME2 in the metadata.
# Seen: "stored 100 with intercept -50, MONOCHROME1: pydicom 50, SimpleITK 3945, which still says MONOCHROME1"
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
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

film = Dataset()
film.file_meta = FileMetaDataset()
film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = ComputedRadiographyImageStorage
film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = generate_uid()
film.StudyInstanceUID, film.SeriesInstanceUID, film.InstanceNumber = generate_uid(), generate_uid(), 1
film.PatientID = film.PatientName = "P"
film.PatientBirthDate = film.PatientSex = film.StudyDate = film.StudyTime = film.AccessionNumber = film.StudyID = ""
film.Modality, film.BodyPartExamined, film.ViewPosition = "CR", "CHEST", "PA"
film.ImagerPixelSpacing = [0.2, 0.2]
film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = 16, 16, 1, "MONOCHROME1"
film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
film.RescaleSlope, film.RescaleIntercept, film.RescaleType = "1", "-50", "US"
film.PixelData = np.full((16, 16), 100, "<u2").tobytes()
film["PixelData"].VR = "OW"
film.save_as("film.dcm", enforce_file_format=True)

again = dcmread("film.dcm")
one = int(apply_modality_lut(again.pixel_array, again)[0, 0])
image = sitk.ReadImage("film.dcm")
other, said = int(sitk.GetArrayFromImage(image)[0, 0, 0]), image.GetMetaData("0028|0004").strip()
print(f"stored 100 with intercept -50, MONOCHROME1: pydicom {one}, SimpleITK {other}, which still says {said}")
sys.exit((one, other, said) != (50, 4095 - 100 - 50, "MONOCHROME1"))
PYTHON
