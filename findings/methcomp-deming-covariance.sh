#!/usr/bin/env bash
# methcomp 1.0.0, scipy 1.10.1, statsmodels 0.14.1, pandas 2.0.3, shapely 2.0.6, matplotlib 3.8.4, numpy 1.24.4.
# Behaviour: the Deming regression takes the variance of the second method for the covariance of both. Its slope depends
# on the two spreads alone: it is the same for two methods that agree, for one that falls as the other rises, and for
# values that were shuffled.
# Expected: a slope of 1.2 where the second method is 1.2 times the first, and of -1.2 where it is -1.2 times.
# Seen: "slope for the second method at 1.2 times the first 1.16, at -1.2 times 1.16, shuffled 1.16; by the covariance
# 1.20 and -1.20"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check methcomp==1.0.0 scipy==1.10.1 statsmodels==0.14.1 \
    pandas==2.0.3 shapely==2.0.6 matplotlib==3.8.4 numpy==1.24.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import methcomp
import numpy as np


def slope(first, second):
    """Return the slope of the line that is drawn."""
    axes = methcomp.deming(first, second, bootstrap=None, line_reference=False, ax=plt.figure().gca())
    (x, y) = axes.lines[0].get_data()
    return (y[1] - y[0]) / (x[1] - x[0])


def right(first, second):
    """Return the slope for equal errors (Deming 1943)."""
    (xx, xy), (_, yy) = np.cov(first, second)
    return (yy - xx + np.sqrt((yy - xx) ** 2 + 4 * xy**2)) / (2 * xy)


random = np.random.default_rng(0)
true = random.uniform(50, 150, 400)
first, second = true + random.normal(0, 3, 400), 1.2 * true + random.normal(0, 3, 400)
rising, falling, shuffled = slope(first, second), slope(first, -second), slope(first, random.permutation(second))
print(
    f"slope for the second method at 1.2 times the first {rising:.2f}, at -1.2 times {falling:.2f}, shuffled "
    f"{shuffled:.2f}; by the covariance {right(first, second):.2f} and {right(first, -second):.2f}"
)
sys.exit(not (np.allclose([falling, shuffled], rising) and right(first, -second) < -1.15))
PYTHON
