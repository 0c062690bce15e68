#!/usr/bin/env bash
# liverquant 0.0.4, cv2geojson 0.0.9, opencv-python-headless 4.12.0.88, scikit-image 0.25.2, numpy 2.2.6.
# Behaviour: detect_fat_globules leaves out globules whose centre is not in the image: it holds their columns against
# the image's height and their rows against its width. Of an image three times as wide as it is high all that lies to
# the right of a square on the left is left out, and of one three times as high all that lies below: 16 of 48 globules
# are found, and a third of the fat.
# Expected: 48, as in three squares of the same image, each by itself.
# Seen: "48 globules: in an image of 1200 by 400 16, of 400 by 1200 16, in three of 400 by 400 16 + 16 + 16"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps liverquant==0.0.4 cv2geojson==0.0.9
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 geojson==3.3.0 \
    scikit-image==0.25.2 scikit-learn==1.7.2 scipy==1.15.3 matplotlib==3.10.9 pillow==11.3.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import cv2
import numpy as np
from liverquant import detect_fat_globules
from scipy import ndimage

image = np.full((400, 1200, 3), (200, 120, 170), np.uint8)
for row in range(50, 400, 100):
    for column in range(50, 1200, 100):
        cv2.circle(image, (column, row), 20, (250, 248, 249), -1)


def count(part):
    """Return how many globules are found."""
    return ndimage.label(detect_fat_globules(np.ascontiguousarray(part)))[1]


squares = [count(image[:, left : left + 400]) for left in (0, 400, 800)]
line = (
    f"48 globules: in an image of 1200 by 400 {count(image)}, of 400 by 1200 {count(image.swapaxes(0, 1))}, in three "
    f"of 400 by 400 {' + '.join(map(str, squares))}"
)
print(line)
expected = "48 globules: in an image of 1200 by 400 16, of 400 by 1200 16, in three of 400 by 400 16 + 16 + 16"
sys.exit(0 if line == expected else "this has changed")
PYTHON
