#!/usr/bin/env bash
# eeprivacy 0.0.5, scipy 1.13.1, numpy 1.26.4.
# Behaviour: PrivateClampedMean takes the mean of the values as they are, and clamps what comes out; its noise is that
# of clamped values. One patient whose value is far out moves the mean to a bound: whether he is there is seen.
# Expected: each value is clamped before ("bounding sensitivity with clamping", Li et al. 2016, algorithm 2.3).
# Seen: "mean of 100 values from 0 to 1 at epsilon 0.5: 0.50; with one patient at 1000 for one of them 1.00 in 1000 of
# 1000 answers, without him in 0; of clamped values 0.50"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scipy==1.13.1 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps eeprivacy==0.0.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from eeprivacy.operations import PrivateClampedMean

np.random.seed(0)
values = np.linspace(0, 1, 100)
with_him = values.copy()
with_him[50] = 1000
mean = PrivateClampedMean(lower_bound=0, upper_bound=1)
without, seen = (
    np.array([mean.execute(values=list(these), epsilon=0.5) for _ in range(1000)]) for these in (values, with_him)
)
print(
    f"mean of 100 values from 0 to 1 at epsilon 0.5: {without.mean():.2f}; with one patient at 1000 for one of them "
    f"{seen.mean():.2f} in {int((seen == 1).sum())} of 1000 answers, without him in {int((without == 1).sum())}; of "
    f"clamped values {np.clip(with_him, 0, 1).mean():.2f}"
)
sys.exit(not ((seen == 1).all() and (without < 1).all()))
PYTHON
