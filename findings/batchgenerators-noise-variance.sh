#!/usr/bin/env bash
# batchgenerators 0.25.5, numpy 2.4.6.
# Behaviour: the noise_variance of GaussianNoiseTransform and RicianNoiseTransform is the standard deviation: an image
# in Hounsfield units that is to have noise of a variance of 400 (20 HU, as a CT has) gets one of 400 HU. Rician noise
# leaves every voxel of 0 at 0: the background of an MR, where that noise is seen, has none, and a voxel of 0.001 next
# to it has. The documentation says that the variance of the Gaussian distribution is drawn from this interval.
# Expected: noise of the variance stated, in the background, too.
# Seen: "noise_variance 400: variance 159492, standard deviation 399; Rician noise of 0.1: a background of 0 has a mean
# of 0.000, one of 1e-9 a mean of 0.125"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check batchgenerators==0.25.5 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from batchgenerators.transforms.noise_transforms import GaussianNoiseTransform, RicianNoiseTransform

np.random.seed(0)


def noisy(transform, variance, level):
    image = np.full((1, 1, 64, 64, 64), level)
    return transform(noise_variance=(variance, variance))(data=image)["data"]


gaussian = noisy(GaussianNoiseTransform, 400.0, 0.0)
background, tissue = (float(noisy(RicianNoiseTransform, 0.1, level).mean()) for level in (0.0, 1e-9))
print(
    f"noise_variance 400: variance {gaussian.var():.0f}, standard deviation {gaussian.std():.0f}; Rician noise of 0.1: a "
    f"background of 0 has a mean of {background:.3f}, one of 1e-9 a mean of {tissue:.3f}"
)
sys.exit(not (abs(gaussian.std() - 400) < 5 and background == 0 and tissue > 0.1))
PYTHON
