#!/usr/bin/env bash
# lifelines 0.30.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the median of a Kaplan-Meier curve is the first time with a survival of at most 0.5, and the curve is
# computed by logarithms: where half of the patients have died it is 0.50000000000000011, and the time is passed over.
# The median is one event too late, or infinite, which is reported as not reached, where the curve stays at one half. It
# depends on the number of patients: with 4 it is right, with 8 it is not. Quartiles are mostly late. The table of the
# curve shows 0.5.
# Expected: the time at which half have died, or, as in R, the middle of that step.
# Seen: "patients who die in months 1 to n/2, the others alive at 100, median for n of 4, 8, 20, 44: 2, inf, inf, inf;
# all die in months 1 to n: 2, 5, 11, 23; the curve differs from 0.5 by at most 2.2e-16; first quartile of 50 sizes late
# in 41"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.30.3 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from lifelines import KaplanMeierFitter

sizes = (4, 8, 20, 44)
half, everyone, off = [], [], 0.0
for size in sizes:
    months = np.r_[1 : size // 2 + 1, np.full(size // 2, 100)]
    curve = KaplanMeierFitter().fit(months, months < 100)
    off = max(off, abs(float(curve.survival_function_at_times(size // 2).iloc[0]) - 0.5))
    half.append(float(curve.median_survival_time_))
    everyone.append(float(KaplanMeierFitter().fit(np.arange(1, size + 1)).median_survival_time_))
late = sum(
    KaplanMeierFitter().fit(np.arange(1, size + 1)).percentile(0.75) != size / 4 for size in range(4, 204, 4)
)


def listed(values):
    return ", ".join(f"{value:g}" for value in values)


print(
    f"patients who die in months 1 to n/2, the others alive at 100, median for n of {listed(sizes)}: {listed(half)}; all "
    f"die in months 1 to n: {listed(everyone)}; the curve differs from 0.5 by at most {off:.1e}; first quartile of 50 "
    f"sizes late in {late}"
)
sys.exit(not (half[0] == 2 and np.isinf(half[1:]).all() and everyone[1] == 5 and off < 1e-15 and late > 10))
PYTHON
