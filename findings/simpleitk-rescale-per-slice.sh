#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), pydicom 3.0.2, numpy 2.4.6.
# Behaviour: a PET series has a rescale slope for every slice. Where the first slice's is 1, ITK takes its whole numbers
# of 16 bits for the whole series: the other slices are rescaled, lose their fractions, and what is over 65535 begins
# again at 0. The call succeeds without a warning.
# Expected: numbers of a type that holds all slices, as if the first slope were 1.5.
# Seen: "slopes 1, 0.0033, 30: stored 3000 reads as 3000, 9, 24464 (true: 3000, 9.9, 90000); from 1.5: 4500, 9.9, 90000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid


def slice_at(z, slope):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    made.PatientID = made.PatientName = "P"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
    made.Modality, made.Manufacturer, made.Units, made.InstanceNumber, made.SliceThickness = "PT", "M", "BQML", z + 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelSpacing, made.ImageOrientationPatient, made.ImagePositionPatient = [1, 1], [1, 0, 0, 0, 1, 0], [0, 0, z]
    made.RescaleSlope, made.RescaleIntercept = str(slope), "0"
    made.PixelData = np.full((16, 16), 3000, "<u2").tobytes()
    made["PixelData"].VR = "OW"
    return made


def read(slopes):
    folder = Path(str(slopes[0]))
    folder.mkdir()
    for z, slope in enumerate(slopes):
        slice_at(z, slope).save_as(folder / f"{z}.dcm", enforce_file_format=True)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return [round(float(value), 4) for value in sitk.GetArrayFromImage(reader.Execute())[:, 0, 0]]


wrong, right = read([1, 0.0033, 30]), read([1.5, 0.0033, 30])
said = [", ".join(f"{value:g}" for value in values) for values in (wrong, right)]
print(f"slopes 1, 0.0033, 30: stored 3000 reads as {said[0]} (true: 3000, 9.9, 90000); from 1.5: {said[1]}")
sys.exit((wrong, right) != ([3000, 9, 90000 % 65536], [4500, 9.9, 90000]))
PYTHON
