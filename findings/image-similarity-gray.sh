#!/usr/bin/env bash
# image-similarity-measures 0.3.6, phasepack 1.5, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: rmse and psnr of grey images give the original a third axis and the other image none: by broadcasting, each
# pixel is compared with a whole row of the other image, where the image is square. A slice and itself have a PSNR of 8
# dB, and so have a slice and a copy with little noise. The code means to handle grey images, and says so. With a third
# axis on both they are right, and an image that is not square raises an error.
# Expected: an infinite PSNR and an RMSE of 0 for a slice and itself; 46 dB and 20 for a noise of 20.
# Seen: "a slice of 64 x 64 and itself: PSNR 7.8 dB, RMSE 1667; with a noise of 20: PSNR 7.8, RMSE 1667, with a third
# axis on both 46.2 and 20"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 scikit-image==0.26.0 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps image-similarity-measures==0.3.6 phasepack==1.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from image_similarity_measures.quality_metrics import psnr, rmse

random = np.random.default_rng(0)
image = random.uniform(0, 4095, (64, 64))
noisy = image + random.normal(0, 20, image.shape)


def measured(first, second):
    return float(psnr(first, second)), 4095 * float(rmse(first, second))  # rmse divides by 4095


same, apart, right = measured(image, image), measured(image, noisy), measured(image[..., None], noisy[..., None])
print(
    f"a slice of 64 x 64 and itself: PSNR {same[0]:.1f} dB, RMSE {same[1]:.0f}; with a noise of 20: PSNR {apart[0]:.1f}, "
    f"RMSE {apart[1]:.0f}, with a third axis on both {right[0]:.1f} and {right[1]:.0f}"
)
sys.exit(not (same[0] < 10 and apart[0] < 10 and same[1] > 1000 and abs(right[1] - 20) < 1 and right[0] > 45))
PYTHON
