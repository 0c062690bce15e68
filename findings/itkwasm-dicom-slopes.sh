#!/usr/bin/env bash
# itkwasm-dicom 7.6.4, itkwasm-dicom-wasi 7.6.4, itkwasm 1.0b201, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: read_image_dicom_file_series rescales all slices by the slope of the last one. In PET each slice has a
# slope of its own: of activities of 2500, 2500, 4500 and 7000 Bq/ml the first three become 1750, 3500 and 5250. Nothing
# warns. A series with one slope is right.
# Expected: each slice by its own RescaleSlope (PS3.3 C.8.9.4), as SimpleITK reads these files.
# Seen: "slopes 2.5, 1.25, 1.5, 1.75: 1750, 3500, 5250, 7000 for 2500, 2500, 4500, 7000; slopes 1.5, 1.5, 1.5, 1.5:
# 1500, 3000, 4500, 6000 for 1500, 3000, 4500, 6000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check itkwasm-dicom==7.6.4 itkwasm-dicom-wasi==7.6.4 \
    itkwasm==1.0b201 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from itkwasm_dicom import read_image_dicom_file_series
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

STORED = [1000, 2000, 3000, 4000]


def read(slopes):
    series = generate_uid()
    paths = []
    for number, (value, slope) in enumerate(zip(STORED, slopes)):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", series, "1.2.3.5"
        made.PatientID = made.PatientName = "P"
        made.Modality, made.Units, made.Manufacturer, made.SeriesNumber = "PT", "BQML", "M", 1
        made.InstanceNumber = number + 1
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelSpacing, made.SliceThickness, made.ImageOrientationPatient = [4, 4], 3, [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [0, 0, 3 * number]
        made.RescaleSlope, made.RescaleIntercept = str(slope), "0"
        made.PixelData = np.full((8, 8), value, "<i2").tobytes()
        made["PixelData"].VR = "OW"
        paths.append(Path(f"{slopes[0]}-{number}.dcm"))
        made.save_as(paths[-1], enforce_file_format=True)
    image, order = read_image_dicom_file_series(paths)
    if [Path(name).name for name in order] != [path.name for path in paths]:
        sys.exit("the slices are read in another order")
    right = [value * slope for value, slope in zip(STORED, slopes)]
    seen = np.asarray(image.data)[:, 0, 0]
    words = (", ".join(f"{value:g}" for value in values) for values in (seen, right))
    return f"slopes {', '.join(map(str, slopes))}: {' for '.join(words)}"


line = f"{read([2.5, 1.25, 1.5, 1.75])}; {read([1.5] * 4)}"
print(line)
expected = (
    "slopes 2.5, 1.25, 1.5, 1.75: 1750, 3500, 5250, 7000 for 2500, 2500, 4500, 7000; slopes 1.5, 1.5, 1.5, 1.5: 1500, "
    "3000, 4500, 6000 for 1500, 3000, 4500, 6000"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
