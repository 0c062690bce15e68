#!/usr/bin/env bash
# methcomp 1.0.0, scipy 1.10.1, statsmodels 0.14.1, pandas 2.0.3, shapely 2.0.6, matplotlib 3.8.4, numpy 1.24.4.
# Behaviour: linear() regresses the first method on the second, and draws and names the line as the second by the first.
# Its interval of 95 % is one of 5 %: the level is handed over as its complement.
# Expected: a slope of 2 where the second method is twice the first, and an interval that holds it 95 times of 100.
# Seen: "the second method is twice the first: slope 0.49, named 1.96 + 0.49 * Method 1; of 200 intervals of 95% for the
# line that is fitted 7% hold its slope"
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


def drawn(first, second):
    """Return the slopes of the lines that are drawn (the fit is the second smallest), and the name."""
    axes = methcomp.linear(first, second, line_reference=False, line_CI=True, ax=plt.figure().gca())
    slopes = [float(np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0]) for line in axes.lines]
    name = next(line.get_label() for line in axes.lines if "Method" in line.get_label())
    plt.close("all")
    return sorted(slopes), name


random = np.random.default_rng(0)
first = random.uniform(50, 150, 60)
slopes, name = drawn(first, 2 * first + random.normal(0, 10, 60))
held = 0
for _ in range(200):
    second = random.uniform(100, 300, 60)
    seen, _name = drawn(0.5 * second + random.normal(0, 10, 60), second)  # the first by the second, as it is fitted
    held += min(seen) <= 0.5 <= max(seen)
print(
    f"the second method is twice the first: slope {slopes[1]:.2f}, named {name}; of 200 intervals of 95% for the line "
    f"that is fitted {held / 200:.0%} hold its slope"
)
sys.exit(not (slopes[1] < 0.55 and "Method 1" in name and held < 30))
PYTHON
