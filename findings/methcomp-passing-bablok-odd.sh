#!/usr/bin/env bash
# methcomp 1.0.0, scipy 1.10.1, statsmodels 0.14.1, pandas 2.0.3, shapely 2.0.6, matplotlib 3.8.4, numpy 1.24.4.
# Behaviour: Passing-Bablok regression of n patients takes the median of n(n-1)/2 slopes. Where that number is odd, the
# place of the median is divided by the number of negative slopes instead of shifted by it: one of the lowest slopes is
# taken. That is so for every other pair of numbers of patients: 38 and 39, but not 40 and 41.
# Expected: a slope near 1.2, within its own interval (Passing and Bablok, J Clin Chem Clin Biochem 1983).
# Seen: "slope of 37, 38, 39, 40 patients: 1.19, 0.24, 0.32, 1.21; lower bounds of its interval 1.13, 1.14, 1.14, 1.14"
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

random = np.random.default_rng(0)
true = random.uniform(50, 150, 40)
first, second = true + random.normal(0, 3, 40), 1.2 * true + 5 + random.normal(0, 3, 40)
slopes, lowest = [], []
for patients in (37, 38, 39, 40):
    axes = methcomp.passingbablok(
        first[:patients], second[:patients], line_reference=False, line_CI=True, ax=plt.figure().gca()
    )
    drawn = [np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0] for line in axes.lines]
    slopes.append(drawn[0])
    lowest.append(min(drawn[1:]))
print(
    f"slope of 37, 38, 39, 40 patients: {', '.join(f'{slope:.2f}' for slope in slopes)}; lower bounds of its interval "
    f"{', '.join(f'{bound:.2f}' for bound in lowest)}"
)
sys.exit(not (min(slopes[0], slopes[3]) > 1.15 and max(slopes[1:3]) < 0.5 and min(lowest) > 1.1))
PYTHON
