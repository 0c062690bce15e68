#!/usr/bin/env bash
# nilearn 0.14.1, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: mean_img adds in the integers of the first image, which overflow: the mean of two images of 200 in 8 bits is
# 72, and that of 40 CT of 1000 HU in 16 bits is -638.4. Nothing warns. The same images as floats have the right mean.
# Expected: 200 and 1000, as np.mean gives.
# Seen: "the mean of two images of 200 in uint8 is 72, of 40 of 1000 in int16 -638.4; as float32 1000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nilearn==0.14.1 nibabel==5.4.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
from nilearn.image import mean_img


def mean(value, count, kind):
    image = nibabel.Nifti1Image(np.full((4, 4, 4), value, kind), np.eye(4))
    return float(np.unique(np.asarray(mean_img([image] * count).dataobj))[0])


small, hounsfield, floats = mean(200, 2, np.uint8), mean(1000, 40, np.int16), mean(1000, 40, np.float32)
print(
    f"the mean of two images of 200 in uint8 is {small:g}, of 40 of 1000 in int16 {hounsfield:g}; as float32 {floats:g}"
)
sys.exit(not (small == 72 and hounsfield < 0 and floats == 1000))
PYTHON
