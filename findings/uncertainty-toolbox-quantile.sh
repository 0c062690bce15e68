#!/usr/bin/env bash
# uncertainty-toolbox 0.1.1, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: get_proportion_under_quantile, documented as the proportion of data below the predicted quantile, takes
# prediction minus truth where it should take truth minus prediction: of a model that predicts too low it says that 98 %
# lie below its 90 % quantile, where 68 % do. get_quantile_recalibrator corrects the wrong way: afterwards it is 36 %.
# For errors that are symmetric round 0 nothing is seen of it, and intervals are right.
# Expected: 90 % below the recalibrated quantile of 90 %.
# Seen: "below the 90 % quantile: 0.675; by the library 0.980; after its recalibration 0.361; of 10 %: 0.020, after it
# 0.002"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check uncertainty-toolbox==0.1.1 scikit-learn==1.9.1 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from uncertainty_toolbox.metrics_calibration import get_proportion_under_quantile, get_quantile
from uncertainty_toolbox.recalibration import get_quantile_recalibrator

random = np.random.default_rng(0)
mean, spread = random.normal(size=4000), np.ones(4000)
truth = mean + 0.8 + random.normal(size=4000)  # predicted too low by 0.8
recalibrated = get_quantile_recalibrator(mean, spread, truth)


def below(quantile, level):
    return float((truth <= quantile(mean, spread, level)).mean())


stated = get_proportion_under_quantile(mean, spread, truth, 0.9)
before, after = below(get_quantile, 0.9), below(recalibrated, 0.9)
low, lower = below(get_quantile, 0.1), below(recalibrated, 0.1)
print(
    f"below the 90 % quantile: {before:.3f}; by the library {stated:.3f}; after its recalibration {after:.3f}; of 10 %: "
    f"{low:.3f}, after it {lower:.3f}"
)
sys.exit(not (stated > 0.95 and 0.6 < before < 0.75 and after < 0.5 and lower < low))
PYTHON
