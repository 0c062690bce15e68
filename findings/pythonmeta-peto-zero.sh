#!/usr/bin/env bash
# PythonMeta 1.26, statsmodels 0.15.0, scipy 1.17.1, pandas 3.1.1, numpy 2.4.6.
# Behaviour: Peto's method adds a half to all four cells of a trial in which a cell is 0, as other odds ratios need it.
# Peto's does not, is defined without it, and is chosen for rare events for that reason: five trials with nobody of 100
# and one of 100 have an odds ratio of 0.37 with p = 0.12, where it is 0.14 with p = 0.025.
# Expected: sums of observed less expected events and of their variances from the counts as they are, as the method has
# it; the test of the Mantel-Haenszel strata in statsmodels is the same one.
# Seen: "five trials, 0 of 100 against 1 of 100: Peto's odds ratio 0.366, by its formula 0.135; p 0.116, by its formula
# 0.025, by statsmodels 0.025; with 1 of 100 against 3 of 100, no zeros: 0.362, by its formula 0.362"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check PythonMeta==1.26 statsmodels==0.15.0 scipy==1.17.1 \
    pandas==3.1.1 numpy==2.4.6
MPLBACKEND=Agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
import PythonMeta
from scipy.stats import norm
from statsmodels.stats.contingency_tables import StratifiedTable


def by_package(treated, control):
    """Return the odds ratio and p of five equal trials of 100 against 100."""
    data, meta = PythonMeta.Data(), PythonMeta.Meta()
    data.datatype = meta.datatype = "CATE"
    meta.models, meta.algorithm, meta.effect = "Fixed", "Peto", "OR"
    total = meta.meta(data.getdata([f"Trial {i}, {treated}, 100, {control}, 100" for i in range(5)]))[0]
    return total[1], float(total[11])


def by_formula(treated, control):
    """Return the same by Peto's formula: observed less expected, over the hypergeometric variance."""
    events = treated + control
    excess = 5 * (treated - events / 2)
    variance = 5 * 100 * 100 * events * (200 - events) / (200**2 * 199)
    return math.exp(excess / variance), 2 * norm.sf(abs(excess) / math.sqrt(variance))


ratio, p = by_package(0, 1)
right, right_p = by_formula(0, 1)
strata = StratifiedTable([np.array([[0.0, 100.0], [1.0, 99.0]])] * 5).test_null_odds().pvalue
plain, plain_right = by_package(1, 3)[0], by_formula(1, 3)[0]
print(
    f"five trials, 0 of 100 against 1 of 100: Peto's odds ratio {ratio:.3f}, by its formula {right:.3f}; p {p:.3f}, "
    f"by its formula {right_p:.3f}, by statsmodels {strata:.3f}; with 1 of 100 against 3 of 100, no zeros: "
    f"{plain:.3f}, by its formula {plain_right:.3f}"
)
sys.exit(not (ratio > 2 * right and p > 0.1 and abs(right_p - strata) < 1e-3 and abs(plain - plain_right) < 1e-6))
PYTHON
