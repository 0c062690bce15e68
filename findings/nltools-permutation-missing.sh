#!/usr/bin/env bash
# nltools 0.5.1, numpy 1.23.5.
# Behaviour: one_sample_permutation leaves missing values out of the mean that is tested, and not out of the means of
# the permutations: these are NaN, none is as large as the one observed, and p is the smallest that there is. Where one
# of 40 patients has no value, anything differs from 0 by p = 0.001 after 999 permutations, without a warning.
# Expected: the p-values of the patients who have a value, as when the missing one is dropped before;
# two_sample_permutation, beside it, has those.
# Seen: "p of 40 values of nothing, with one of them missing, and of the 39 that are left: 0.655, 0.001 (0.517); 0.987,
# 0.001 (0.940); 0.983, 0.001 (0.913)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.stats import one_sample_permutation


def p_value(values):
    """Return p of the mean of values."""
    return f"{one_sample_permutation(values, n_permute=999, n_jobs=1, random_state=0)['p']:.3f}"


def figures(seed):
    """Return p of 40 values around 0, of the same with one missing, and of those that are left."""
    values = np.random.default_rng(seed).normal(0, 1, 40)
    missing = values.copy()
    missing[7] = np.nan
    return f"{p_value(values)}, {p_value(missing)} ({p_value(missing[~np.isnan(missing)])})"


found = "; ".join(figures(seed) for seed in range(3))
line = f"p of 40 values of nothing, with one of them missing, and of the 39 that are left: {found}"
print(line)
expected = (
    "p of 40 values of nothing, with one of them missing, and of the 39 that are left: 0.655, 0.001 (0.517); "
    "0.987, 0.001 (0.940); 0.983, 0.001 (0.913)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
