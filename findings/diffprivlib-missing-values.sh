#!/usr/bin/env bash
# diffprivlib 0.6.6, scikit-learn 1.6.1, numpy 2.2.6.
# Behaviour: nanmean, nanvar and nanstd average the values that are there, and take their noise from the number of all,
# the missing ones included. A measure that 2 of 1000 patients have gets noise for 1000: one patient moves the mean by
# 50, and the noise of the mean has a spread of 0.14, which is epsilon 490 where 1 was asked for and 1 is booked.
# StandardScaler is built on these functions. The documentation says that the sensitivity is calculated by the bounds.
# Expected: noise for the values that are averaged, as mean adds it to them alone.
# Seen: "epsilon 1, values in 0..100: mean of 2 values and 998 missing ones moves by 50.0 with one patient, noise of
# 0.14: its epsilon is 490; mean of the 2 values has a noise of 34.39"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffprivlib==0.6.6 scikit-learn==1.6.1 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from diffprivlib import BudgetAccountant
from diffprivlib.tools import mean, nanmean

measured = np.full(1000, np.nan)
measured[:2] = 100, 60
other = measured.copy()
other[0] = 0


def drawn(function, values):
    return np.array(
        [function(values, epsilon=1, bounds=(0, 100), random_state=seed, accountant=accountant) for seed in range(2000)]
    )


accountant = BudgetAccountant()
with_one, with_other = drawn(nanmean, measured), drawn(nanmean, other)
alone = drawn(mean, measured[:2])
moved = float(np.median(with_one) - np.median(with_other))
scale = float(abs(with_one - np.median(with_one)).mean())  # of Laplace noise, whose epsilon is the move over it
epsilon = round(moved / scale, -1)
booked = accountant.total()[0] / 6000
print(
    f"epsilon {booked:.0f}, values in 0..100: mean of 2 values and 998 missing ones moves by {moved:.1f} with one patient, "
    f"noise of {with_one.std():.2f}: its epsilon is {epsilon:.0f}; mean of the 2 values has a noise of {alone.std():.2f}"
)
sys.exit(not (booked == 1 and epsilon > 400 and alone.std() > 20))
PYTHON
