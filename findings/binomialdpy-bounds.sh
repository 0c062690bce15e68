#!/usr/bin/env bash
# binomialdpy 0.1.5, scipy 1.13.1, numpy 1.26.4.
# Behaviour: the upper bound of a private share is one number, 1 less alpha, whatever the sample: that is what is given
# back in its place. The lower bound is looked for from a half on, where the p-value of most samples is flat: it stays
# there, or falls to 0.
# Expected: bounds around the share (Awan and Slavkovic, NeurIPS 2018, whose tests these are).
# Seen: "lower and upper bound at 95% of 5, 50 and 90 of 100 patients at epsilon 1: 0.50 and 0.95, 0.00 and 0.95, 0.50
# and 0.95; of 5 by its own p-values 0.02 and 0.11"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scipy==1.13.1 numpy==1.26.4 setuptools==75.8.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation binomialdpy==0.1.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from math import exp

from binomialdpy import ci, pvalue

noise = exp(-1.0)  # epsilon 1
seen = {}
for ill in (5.2, 50.2, 90.2):  # of 100 patients, with noise
    lower = float(ci.lower(0.05, [ill], 100, noise, 0)[0])
    seen[ill] = lower, float(ci.upper(0.05, [ill], 100, noise, 0))
right = [
    next(p / 1000 for p in range(1, 1000) if pvalue.right([5.2], 100, p / 1000, noise, 0)[0] > level)
    for level in (0.05, 0.95)
]
print(
    "lower and upper bound at 95% of 5, 50 and 90 of 100 patients at epsilon 1: "
    + ", ".join(f"{lower:.2f} and {upper:.2f}" for lower, upper in seen.values())
    + f"; of 5 by its own p-values {right[0]:.2f} and {right[1]:.2f}"
)
sys.exit(not ({upper for _, upper in seen.values()} == {0.95} and seen[5.2][0] > 0.4 and right[1] < 0.2))
PYTHON
