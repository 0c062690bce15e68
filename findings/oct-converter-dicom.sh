#!/usr/bin/env bash
# oct-converter 0.7.0, pydicom 3.0.2, numpy 2.4.6, opencv-python 4.11.0.86, h5py 3.16.0, matplotlib 3.11.2, imageio
# 2.37.0, construct 2.10.70, natsort 8.4.0.
# Behaviour: create_dicom_from_oct stretches each volume to values from 0 to 100 and cuts off their fractions: of 256
# grey levels 101 are left, and a volume that is half as bright becomes the same but for a rounding. For a Zeiss .img
# file it states pixels of 0.002 x 0.002 mm and slices of 0.004 mm, whatever was scanned: a macular cube of 6 mm, 512
# columns by 128 slices, is 1.0 mm wide and 0.5 mm deep, and nothing in the file says that this is made up.
# Expected: the grey levels of the device, and no spacing that is not known, or that of the cube that the name of the
# file tells.
# Seen: "256 grey levels become 101, 128 of a volume half as bright 101, and the two differ by 1 at most; a cube of 6 x
# 6 mm is 1.0 x 0.5 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check oct-converter==0.7.0 pydicom==3.0.2 numpy==2.4.6 \
    opencv-python==4.11.0.86 h5py==3.16.0 matplotlib==3.11.2 imageio==2.37.0 construct==2.10.70 natsort==8.4.0
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from oct_converter.dicom.dicom import create_dicom_from_oct
from pydicom import dcmread

NAME = "P0001_Macular Cube 512x128_1-2-2024_10-30-00_OD_sn1_cube_z.img"
ROWS, COLUMNS, SLICES = 1024, 512, 128


def converted(brightest):
    """Return the DICOM file of a cube whose rows rise from 0 to this value."""
    column = np.linspace(0, brightest, ROWS).round().astype(np.uint8)
    np.tile(column, COLUMNS * SLICES).tofile(NAME)
    return dcmread(create_dicom_from_oct(NAME, ".")[0])


bright, dim = converted(255), converted(127)
levels = [len(np.unique(made.pixel_array[0])) for made in (bright, dim)]
same = np.abs(bright.pixel_array.astype(int) - dim.pixel_array).max()
measures = bright.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
line = (
    f"256 grey levels become {levels[0]}, 128 of a volume half as bright {levels[1]}, and the two differ by {same} at "
    f"most; a cube of 6 x 6 mm is {COLUMNS * measures.PixelSpacing[1]:.1f} x {SLICES * measures.SliceThickness:.1f} mm"
)
print(line)
expected = (
    "256 grey levels become 101, 128 of a volume half as bright 101, and the two differ by 1 at most; a cube of 6 x 6 "
    "mm is 1.0 x 0.5 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
