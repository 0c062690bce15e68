#!/usr/bin/env bash
# MONAI 1.6.1, scikit-image 0.26.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: FlattenLabeld numbers the nuclei of a slide from 1 on and puts the numbers in 8 bits. Of 900 nuclei three,
# the 256th, 512th and 768th, are background, and each number is that of three or four nuclei in different places:
# where one of them is chosen by its number, all of them are.
# Expected: 900 numbers, as scikit-image's label gives them, or an error.
# Seen: "900 nuclei: 255 numbers and 897 nuclei left by FlattenLabeld, 900 and 900 by scikit-image; nuclei with the
# number 1: 4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scikit-image==0.26.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from monai.apps.nuclick.transforms import FlattenLabeld
from skimage.measure import label

mask = np.zeros((300, 300), np.uint8)
for row in range(2, 300, 10):
    for column in range(2, 300, 10):
        mask[row : row + 6, column : column + 6] = 1  # a nucleus
right = label(mask, connectivity=1)
flat = FlattenLabeld("label")({"label": mask})["label"]


def nuclei(numbered, number=None):
    """Return how many of the nuclei are there, or have a number."""
    return len(np.unique(right[(numbered > 0) if number is None else (numbered == number)]))


seen, truth = len(np.unique(flat[flat > 0])), len(np.unique(right[right > 0]))
print(
    f"{truth} nuclei: {seen} numbers and {nuclei(flat)} nuclei left by FlattenLabeld, {truth} and {nuclei(right)} by "
    f"scikit-image; nuclei with the number 1: {nuclei(flat, 1)}"
)
sys.exit(not (truth == nuclei(right) == 900 and seen == 255 and nuclei(flat) == 897 and nuclei(flat, 1) > 1))
PYTHON
