#!/usr/bin/env bash
# pyfeats 1.0.1, mahotas 1.4.19, scikit-image 0.26.0, scipy 1.17.1, opencv-python 4.11.0.86, numpy 1.26.4.
# Behaviour: glrlm_features takes the mask of a lesion and does not use it: run lengths are those of the whole image.
# The features of the same lesion follow what is around it, and two lesions of different texture in the same image have
# the same features.
# Expected: the features of the pixels in the mask, as its description says and as the features of first order and the
# size zones have it: those of the lesion alone, whatever is around it.
# Seen: "mean and short run emphasis of a striped and a speckled lesion, with dark around them 75, 0.72 and 75, 0.72;
# with noise 75, 0.96 and 75, 0.96"
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
from pyfeats import fos, glrlm_features

random = np.random.default_rng(0)
striped = np.broadcast_to(np.array([60, 90])[np.arange(64) // 8 % 2], (64, 64))  # runs of 8
speckled = random.integers(60, 91, (64, 64))  # hardly a run
dark, noise = np.full((64, 64), 10), random.integers(0, 256, (64, 64))
left, right = (np.zeros((64, 64), np.uint8) for _ in range(2))
left[16:48, 4:28] = 1
right[16:48, 36:60] = 1


def figures(around, lesion):
    """Return mean and short run emphasis of a lesion; left is striped, right is speckled."""
    image = np.where(left, striped, np.where(right, speckled, around)).astype(np.uint8)
    return f"{fos(image, lesion)[0][0]:.0f}, {glrlm_features(image, lesion)[0][0]:.2f}"


line = (
    f"mean and short run emphasis of a striped and a speckled lesion, with dark around them {figures(dark, left)} and "
    f"{figures(dark, right)}; with noise {figures(noise, left)} and {figures(noise, right)}"
)
print(line)
expected = (
    "mean and short run emphasis of a striped and a speckled lesion, with dark around them 75, 0.72 and 75, 0.72;"
    " with noise 75, 0.96 and 75, 0.96"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
