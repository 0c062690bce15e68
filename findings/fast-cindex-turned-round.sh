#!/usr/bin/env bash
# fast-cindex 0.1.0, numba 0.62.1, lifelines 0.30.3, numpy 2.2.6.
# Behaviour: scores are documented as risks ("higher score = higher predicted risk"), in the functions and in the
# README, and counted as times to live. A model that ranks every patient rightly has a concordance index of 0, and of
# two models compare_cindex finds the worse one better in every resample.
# Expected: 1, and the index of lifelines for the same risks with their sign changed, as it takes times.
# Seen: "concordance index of a model without an error: 0.00; of risks from which times were drawn: 0.24 (lifelines:
# 0.76); the risks are better than numbers by chance in 0% of resamples"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check fast-cindex==0.1.0 numba==0.62.1 lifelines==0.30.3 \
    numpy==2.2.6 pandas==2.3.3 scipy==1.15.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import fast_cindex
import numpy as np
from lifelines.utils import concordance_index

times = np.arange(1.0, 101.0)
exact = fast_cindex.cindex(times, 1 / times, np.ones(100, int))
random = np.random.default_rng(0)
risks, chance = random.normal(size=300), random.normal(size=300)
death, end = random.exponential(np.exp(-risks)), random.exponential(2, 300)
seen, died = np.minimum(death, end), (death <= end).astype(int)
index, right = fast_cindex.cindex(seen, risks, died), concordance_index(seen, -risks, died)
first, second = fast_cindex.compare_cindex(seen, died, risks, chance, n_bootstraps=200)
line = (
    f"concordance index of a model without an error: {exact:.2f}; of risks from which times were drawn: {index:.2f} "
    f"(lifelines: {right:.2f}); the risks are better than numbers by chance in {np.mean(first > second):.0%} of "
    "resamples"
)
print(line)
expected = (
    "concordance index of a model without an error: 0.00; of risks from which times were drawn: 0.24 (lifelines: "
    "0.76); the risks are better than numbers by chance in 0% of resamples"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
