#!/usr/bin/env bash
# dicom-image-tools 25.0.0, pydicom 2.4.5, numpy 2.4.6, scipy 1.17.1, scikit-image 0.24.0, plotly 5.24.1.
# Behaviour: PatientGeometricalOffset adds the pixel number of the patient's centre to the position of the first pixel,
# and the pixel size to both, where number and size are to be multiplied: a patient who lies 20 mm to the left of the
# isocentre and 10 mm above it is at 104 and 44 mm in pixels of 0.5 mm, and at 51 and 14 mm in pixels of 0.8 mm. Only in
# pixels of 1 mm it is nearly right.
# Expected: 20 and -10 mm, whatever the size of a pixel (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1).
# Seen: "centre at 20.0, -10.0 mm, in pixels of 1.0 mm 21.0, -9.0; of 0.8 mm 51.3, 13.8; of 0.5 mm 104.2, 44.2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom-image-tools==25.0.0 pydicom==2.4.5 numpy==2.4.6 \
    scipy==1.17.1 scikit-image==0.24.0 plotly==5.24.1
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from dicom_image_tools.dicom_handlers.ct import CtSeries
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE = 256  # pixels


def slice_of(series, number, pixel):
    """Write a slice with a patient of 60 mm across, whose centre lies at x 20 mm and y -10 mm."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.is_little_endian, made.is_implicit_VR = True, False
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = generate_uid(), series, "CT"
    made.Manufacturer, made.KVP, made.XRayTubeCurrent = "GE MEDICAL SYSTEMS", 120, 100
    made.Rows = made.Columns = SIDE
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelSpacing, made.SliceThickness, made.SliceLocation = [pixel, pixel], 5, 5 * number
    made.RescaleSlope, made.RescaleIntercept = 1, 0
    first = -(SIDE - 1) / 2 * pixel
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [first, first, 5 * number]
    y, x = first + pixel * np.mgrid[:SIDE, :SIDE]
    made.PixelData = np.where((x - 20) ** 2 + (y + 10) ** 2 < 30**2, 0, -1000).astype("<i2").tobytes()
    path = Path(f"{number}.dcm")
    made.save_as(path, write_like_original=False)
    return path


said = []
for pixel in (1.0, 0.8, 0.5):
    uid = generate_uid()
    series = CtSeries(uid)
    for number in range(2):
        series.add_file(slice_of(uid, number, pixel))
    series.get_patient_mask()
    offset = series.PatientGeometricalOffset[0]
    said.append(f"{pixel} mm {offset.x:.1f}, {offset.y:.1f}")
line = f"centre at 20.0, -10.0 mm, in pixels of {'; of '.join(said)}"
print(line)
expected = "centre at 20.0, -10.0 mm, in pixels of 1.0 mm 21.0, -9.0; of 0.8 mm 51.3, 13.8; of 0.5 mm 104.2, 44.2"
sys.exit(0 if line == expected else "this has changed")
PYTHON
