#!/usr/bin/env bash
# mahotas 1.4.19, scipy 1.17.1, numpy 2.4.6.
# Behaviour: erode and dilate of whole numbers subtract and add the ones of the cross that they use by default, also of
# a mask and of labels. An outline of 0 and 1 in uint8 is empty after erode, open leaves nothing of it, and dilate makes
# it one of 2; of labels 3 and 7 dilate makes 4 and 8, and the background becomes 1. The documentation says greyscale
# erosion, and that the smallest value of the structuring element is left out, not that the rest is added.
# Expected: the minimum and the maximum of the neighbours, as for the same mask of booleans, and as scipy's grey_erosion
# and grey_dilation have it for the same cross as a footprint.
# Seen: "a square of 100 pixels eroded: bool 64, uint8 0, scipy 64; opened: bool 96, uint8 0; dilated: values 0, 2;
# labels 3 and 7 dilated: 1, 3, 4, 7, 8; scipy 0, 3, 7"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mahotas==1.4.19 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import mahotas
import numpy as np
from scipy import ndimage

CROSS = ndimage.generate_binary_structure(2, 1)
mask = np.zeros((20, 20), np.uint8)
mask[5:15, 5:15] = 1
labels = np.zeros((20, 20), np.int32)
labels[2:8, 2:8], labels[10:18, 10:18] = 3, 7


def pixels(image):
    return int((image > 0).sum())


def values(image):
    return ", ".join(str(value) for value in np.unique(image))


by_scipy = ndimage.grey_erosion(mask, footprint=CROSS), ndimage.grey_dilation(labels, footprint=CROSS)
line = (
    f"a square of {pixels(mask)} pixels eroded: bool {pixels(mahotas.erode(mask > 0))}, uint8 "
    f"{pixels(mahotas.erode(mask))}, scipy {pixels(by_scipy[0])}; opened: bool {pixels(mahotas.open(mask > 0))}, uint8 "
    f"{pixels(mahotas.open(mask))}; dilated: values {values(mahotas.dilate(mask))}; labels 3 and 7 dilated: "
    f"{values(mahotas.dilate(labels))}; scipy {values(by_scipy[1])}"
)
print(line)
expected = (
    "a square of 100 pixels eroded: bool 64, uint8 0, scipy 64; opened: bool 96, uint8 0; dilated: values 0, 2; labels "
    "3 and 7 dilated: 1, 3, 4, 7, 8; scipy 0, 3, 7"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
