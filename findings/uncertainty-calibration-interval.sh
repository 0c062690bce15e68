#!/usr/bin/env bash
# uncertainty-calibration 0.1.4, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: get_calibration_error_uncertainties takes alpha for a part of one, 0.1 by default, and hands it to a
# function that takes it for percent: what is documented as the 1 - alpha confidence interval, 90 %, runs from the
# 0.05th to the 99.95th percentile, which is from the smallest to the largest of its 100 resamples. An interval of 50 %
# is as wide. The interval of 50 % comes with alpha=50.
# Expected: an interval as wide as the percentiles of the bootstrap by hand.
# Seen: "width of the interval by the library and by hand: 90 % 0.058, 0.041; 50 % 0.057, 0.016; asked for alpha=50
# 0.015"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check uncertainty-calibration==0.1.4 scikit-learn==1.9.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from calibration import get_calibration_error, get_calibration_error_uncertainties

random = np.random.default_rng(0)
scores = random.uniform(size=1000)
ill = (random.random(1000) < scores**1.5).astype(int)


def width(alpha):
    """Return the mean width of five intervals of the calibration error (p = 1)."""
    np.random.seed(0)
    ends = [get_calibration_error_uncertainties(scores, ill, p=1, alpha=alpha) for _ in range(5)]
    return float(np.mean([high - low for low, _, high in ends]))


draws = [random.integers(0, 1000, 1000) for _ in range(400)]
resampled = [get_calibration_error(scores[these], ill[these], p=1, debias=False) for these in draws]
by_hand = [float(np.diff(np.percentile(resampled, ends))[0]) for ends in ((5, 95), (25, 75))]
ninety, fifty, percent = width(0.1), width(0.5), width(50)
print(
    f"width of the interval by the library and by hand: 90 % {ninety:.3f}, {by_hand[0]:.3f}; 50 % {fifty:.3f}, "
    f"{by_hand[1]:.3f}; asked for alpha=50 {percent:.3f}"
)
sys.exit(not (fifty > 2 * by_hand[1] and ninety > 1.2 * by_hand[0] and abs(percent / by_hand[1] - 1) < 0.4))
PYTHON
