#!/usr/bin/env bash
# methcomp 1.0.0, scipy 1.10.1, statsmodels 0.14.1, pandas 2.0.3, shapely 2.0.6, matplotlib 3.8.4, numpy 1.24.4.
# Behaviour: the Bland-Altman plot takes the mean of the first method and the first method, so that "Mean of methods" is
# the first method alone, and a difference in percent is one of the first method. Differences then grow along the axis
# where two methods of equal error agree, and the bias in percent is another one with the methods swapped.
# Expected: the mean of both methods (Bland and Altman, Lancet 1986), and the same bias with the sign turned.
# Seen: "two methods of the same error: correlation of difference and mean 0.51, of both methods' mean 0.01; one method
# twice the other: bias 50% and swapped -100%, where it is 67%"
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


def points(first, second, **more):
    """Return the places of the points in the plot: their means, and their differences."""
    axes = methcomp.blandaltman(first, second, ax=plt.figure().gca(), **more)
    return np.asarray(axes.collections[0].get_offsets()).T


random = np.random.default_rng(0)
true = random.normal(100, 10, 20000)
first, second = true + random.normal(0, 10, 20000), true + random.normal(0, 10, 20000)
shown = np.corrcoef(points(first, second))[0, 1]
right = np.corrcoef((first + second) / 2, first - second)[0, 1]
double, single = true[:50], true[:50] / 2
bias, swapped = (
    points(*pair, diff="percentage")[1].mean() for pair in ((double, single), (single, double))
)
print(
    f"two methods of the same error: correlation of difference and mean {shown:.2f}, of both methods' mean "
    f"{abs(right):.2f}; one method twice the other: bias {bias:.0f}% and swapped {swapped:.0f}%, where it is 67%"
)
sys.exit(not (shown > 0.4 and abs(right) < 0.02 and round(bias) == 50 and round(swapped) == -100))
PYTHON
