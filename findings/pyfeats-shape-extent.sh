#!/usr/bin/env bash
# pyfeats 1.0.1, mahotas 1.4.19, scikit-image 0.26.0, scipy 1.17.1, opencv-python 4.11.0.86, numpy 1.26.4.
# Behaviour: shape_parameters looks for the first row and column of a lesion from a start that is 0 already, and takes
# the first empty one for its end: a lesion that does not touch the upper and left borders is 0 long and 0 wide. One in
# the corner of the image is right.
# Expected: 21 rows and 31 columns, wherever the lesion lies.
# Seen: "a lesion of 21 x 31 in the middle: 0 x 0, area 651; in the corner: 21 x 31, area 651; at the left: 0 x 31, area
# 651"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyfeats==1.0.1 mahotas==1.4.19 scikit-image==0.26.0 \
    scipy==1.17.1 opencv-python==4.11.0.86 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pyfeats import shape_parameters
from scipy.ndimage import binary_erosion


def extent(row, column):
    """Return the rows, columns and area of a lesion of 21 rows and 31 columns."""
    lesion = np.zeros((100, 120), np.uint8)
    lesion[row : row + 21, column : column + 31] = 1
    outline = lesion - binary_erosion(lesion)
    rows, columns, area, *_ = shape_parameters(lesion * 100, lesion, outline)[0]
    return f"{rows:.0f} x {columns:.0f}, area {area:.0f}"


line = (
    f"a lesion of 21 x 31 in the middle: {extent(40, 50)}; in the corner: {extent(0, 0)}; at the left: "
    f"{extent(40, 0)}"
)
print(line)
expected = (
    "a lesion of 21 x 31 in the middle: 0 x 0, area 651; in the corner: 21 x 31, area 651; at the left: 0 x 31, "
    "area 651"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
