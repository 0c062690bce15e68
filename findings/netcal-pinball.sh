#!/usr/bin/env bash
# netcal 1.4.0, torch 2.13.0, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: QuantileLoss, also called PinballLoss, weighs a distance by whether a value lies in the central interval of
# probability q, where its own documentation's formula asks whether it lies below the quantile q. For the 5 % quantile,
# the one a lower bound is judged by, the loss is the same for a spread that is right and for one that is a quarter of
# it, and it is far below the formula's value elsewhere.
# Expected: the documented formula, which scikit-learn's mean_pinball_loss computes, too.
# Seen: "loss of the 5 % quantile for spreads of 0.25, 1 and 2 times the right one: netcal 0.049, 0.048, 0.050; formula
# 0.312, 0.129, 0.205; of the median: netcal 0.294, formula 0.497"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check netcal==1.4.0 scikit-learn==1.9.1 scipy==1.17.1 \
    torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from netcal.metrics import QuantileLoss
from scipy.stats import norm
from sklearn.metrics import mean_pinball_loss

random = np.random.default_rng(0)
mean, spread = random.normal(size=20000), random.uniform(0.5, 2, 20000)
truth = mean + spread * random.normal(size=20000)


def losses(level, factor):
    stated = spread * factor
    return (
        QuantileLoss().measure((mean, stated), truth, np.array([level])),
        float(mean_pinball_loss(truth, mean + stated * norm.ppf(level), alpha=level)),
    )


theirs, formula = zip(*(losses(0.05, factor) for factor in (0.25, 1, 2)), strict=True)
median, right = losses(0.5, 1)


def listed(values):
    return ", ".join(f"{value:.3f}" for value in values)


print(
    f"loss of the 5 % quantile for spreads of 0.25, 1 and 2 times the right one: netcal {listed(theirs)}; formula "
    f"{listed(formula)}; of the median: netcal {median:.3f}, formula {right:.3f}"
)
sys.exit(not (max(theirs) < 1.1 * min(theirs) and max(formula) > 2 * formula[1] and right > 1.5 * median))
PYTHON
