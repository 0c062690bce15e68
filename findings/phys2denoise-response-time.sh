#!/usr/bin/env bash
# phys2denoise 0.5.0, physutils 0.3.0, scipy 1.17.1, pandas 2.3.3, numpy 1.26.4.
# Behaviour: regressors for fMRI are folded with the response of the signal to heart and breath, whose sampling is
# handed over in Hz and taken for seconds: at 100 samples a second the response is a single value. That of the heart is
# negative at time 0, so that the folded heart rate is the heart rate upside down, without a delay; that of the breath
# is 0 there and is divided by itself: the folded respiratory variance is NaN throughout.
# Expected: the response of Chang, Cunningham and Glover (NeuroImage 47, 857, 2009), with its peak 4 s after the beat: a
# folded rate that follows a step of the rate upwards.
# Seen: "correlation of the folded heart rate with the rate itself -1.00, with what it should be -0.17; folded
# respiratory variance: 100% NaN"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check phys2denoise==0.5.0 physutils==0.3.0 scipy==1.17.1 \
    pandas==2.3.3 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from loguru import logger
from phys2denoise.metrics.cardiac import heart_rate
from phys2denoise.metrics.chest_belt import respiratory_variance

logger.remove()
PER_SECOND = 100
beats_s = np.concatenate([np.arange(1, 60, 1.0), np.arange(60, 120, 0.75)])  # from 60 to 80 beats a minute
pulse = np.zeros(121 * PER_SECOND)
rate, folded = heart_rate(pulse, peaks=(beats_s * PER_SECOND).astype(int), fs=PER_SECOND).T
seconds = np.arange(0, 32, 1 / PER_SECOND)
response = 0.6 * seconds**2.7 * np.exp(-seconds / 1.6) - 16 / np.sqrt(18 * np.pi) * np.exp(-((seconds - 12) ** 2) / 18)
right = np.convolve(rate - rate.mean(), response)[: len(rate)]
breath = np.sin(2 * np.pi * 0.25 * np.arange(len(pulse)) / PER_SECOND)
variance = respiratory_variance(breath + 0.1 * np.arange(len(pulse)) / len(pulse), fs=PER_SECOND)[:, 1]
line = (
    f"correlation of the folded heart rate with the rate itself {np.corrcoef(folded, rate)[0, 1]:.2f}, with what it "
    f"should be {np.corrcoef(folded, right)[0, 1]:.2f}; folded respiratory variance: {np.isnan(variance).mean():.0%} "
    "NaN"
)
print(line)
expected = (
    "correlation of the folded heart rate with the rate itself -1.00, with what it should be -0.17; folded "
    "respiratory variance: 100% NaN"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
