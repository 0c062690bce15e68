#!/usr/bin/env bash
# pydicer 0.2.0, platipy 0.7.2, SimpleITK 2.5.7, pydicom 2.4.5, numpy 1.26.4, pandas 2.2.3, scikit-image 0.24.0,
# matplotlib 3.9.4. pyradiomics, pyorthanc, seaborn and scikit-learn, which the function does not use, are stood in for.
# Behaviour: handle_missing_slice looks for the neighbours of each missing slice by their places in the list as it was
# before it filled the gaps before. Of several gaps the first is filled; for the second a slice is made between two
# neighbours that have none missing, and the gap stays; the third is filled 5 mm from its place. SimpleITK then reads
# slices at 9 and 15 mm as if they were 2 mm apart from the others: what is at 10 mm comes to lie at 12.
# Expected: a slice at 4, at 12 and at 20 mm, where one is missing.
# Seen: "slices at 0, 2, 4, 6, 8, 9, 10, 14, 15, 16, 18, 22, 24, 26 mm; read at 12 mm: what is at 10 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pydicer==0.2.0 platipy==0.7.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==2.4.5 numpy==1.26.4 \
    pandas==2.2.3 scikit-image==0.24.0 matplotlib==3.9.4 tqdm==4.70.1
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - 2> said.txt <<'PYTHON' || { cat said.txt; exit 1; }
import sys
from unittest.mock import MagicMock

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

for unused in ("radiomics", "pyorthanc", "seaborn", "sklearn", "sklearn.metrics"):
    sys.modules[unused] = MagicMock()
from pydicer.convert.data import handle_missing_slice

SERIES = generate_uid()


def written(position):
    """Write an axial slice at this height (mm), whose pixels are ten times that."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.is_little_endian, made.is_implicit_VR = True, False
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.SeriesInstanceUID, made.Modality = SERIES, "CT"
    made.Rows = made.Columns = 4
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.PixelSpacing, made.SliceThickness, made.SliceLocation = [1, 1], 2, position
    made.RescaleSlope, made.RescaleIntercept = 1, 0
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, position]
    made.PixelData = np.full((4, 4), 10 * position, "<i2").tobytes()
    made.save_as(f"{position}.dcm", write_like_original=False)
    return {"file_path": f"{position}.dcm", "slice_location": float(position)}


files = handle_missing_slice([written(position) for position in range(0, 28, 2) if position not in (4, 12, 20)])
heights = [f"{float(dcmread(file).ImagePositionPatient[2]):g}" for file in files]
image = sitk.ReadImage(files)
place = image.TransformPhysicalPointToIndex((0.0, 0.0, 12.0))
line = f"slices at {', '.join(heights)} mm; read at 12 mm: what is at {image[place] / 10:g} mm"
print(line)
expected = "slices at 0, 2, 4, 6, 8, 9, 10, 14, 15, 16, 18, 22, 24, 26 mm; read at 12 mm: what is at 10 mm"
sys.exit(0 if line == expected else "this has changed")
PYTHON
