#!/usr/bin/env bash
# diffprivlib 0.6.6, scikit-learn 1.6.1, numpy 2.2.6.
# Behaviour: LinearRegression takes the noise for a feature's sum of squares from its lower bound alone. Where that is
# 0, as for an age, and fit_intercept is False, the sum of squares gets no noise at all: two data sets that differ in
# one patient are told apart for certain, at any epsilon. With an intercept the parts spend more than the whole: of one
# feature, the means of X and of y half each, and the rest half again.
# Expected: noise by the larger of both bounds, and parts that add up to epsilon.
# Seen: "epsilon 0.01, ages in 0..100: the sum of squares in the noisy objective is the exact one, 1823812.9; one
# patient aged 90 more moves it by exactly 8100.0; with an intercept, epsilon 1 spends 1.5 on one feature and 1.33 on
# two"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffprivlib==0.6.6 scikit-learn==1.6.1 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from diffprivlib.mechanisms import Laplace, LaplaceFolded, LaplaceTruncated
from diffprivlib.models import LinearRegression

spent, depth = [], 0


def watched(draw):
    """Return the mechanism's draw, which notes its epsilon where no other mechanism has called it."""

    def noted(self, value):
        global depth
        if not depth:
            spent.append(self.epsilon)
        depth += 1
        try:
            return draw(self, value)
        finally:
            depth -= 1

    return noted


for mechanism in (Laplace, LaplaceFolded, LaplaceTruncated):
    mechanism.randomise = watched(mechanism.randomise)
random = np.random.default_rng(0)
ages = random.uniform(0, 100, (500, 1))
costs = ages.sum(axis=1)


def squares(ages, costs):
    fitted = LinearRegression(epsilon=0.01, bounds_X=(0, 100), bounds_y=(0, 100), fit_intercept=False).fit(ages, costs)
    return float(fitted._obj_coefs[2][0, 0])


def expense(features):
    spent.clear()
    records = random.uniform(0, 1, (500, features))
    LinearRegression(epsilon=1, bounds_X=(0, 1), bounds_y=(0, 2)).fit(records, records.sum(axis=1))
    return sum(spent)


noisy = squares(ages, costs)
more = squares(np.append(ages, [[90.0]], axis=0), np.append(costs, 90.0)) - noisy
one, two = expense(1), expense(2)
print(
    f"epsilon 0.01, ages in 0..100: the sum of squares in the noisy objective is the exact one, {noisy:.1f}; one patient "
    f"aged 90 more moves it by exactly {more:.1f}; with an intercept, epsilon 1 spends {one:.3g} on one feature and "
    f"{two:.3g} on two"
)
exact = abs(noisy - (ages**2).sum()) < 1e-6 and abs(more - 8100) < 1e-6
sys.exit(not (exact and abs(one - 3 / 2) < 1e-9 and abs(two - 4 / 3) < 1e-9))
PYTHON
