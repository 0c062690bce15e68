#!/usr/bin/env bash
# calzone-tool 0.1.0, statsmodels 0.14.5, numpy 1.26.4.
# Behaviour: Cox's calibration slope is found from the probability of class 1, whatever class is asked for. In the
# metrics of a class of three the slope is that of class 1, under the name of the class; by cox_regression_analysis
# itself, which takes the outcomes of the class that was asked for, a model that is calibrated has a slope of -1.
# Expected: the slope of the class, and 1 for a model that gives the true risks.
# Seen: "slope for class 0, 1 and 2 of an overconfident network: 0.54, 0.54 and 0.54, by a regression of their own 0.55,
# 0.54 and 0.35; for class 0 of true risks: -0.99, by its own 0.99"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check calzone-tool==0.1.0 statsmodels==0.14.5 \
    scipy==1.15.3 numpy==1.26.4 pandas==2.3.3 matplotlib==3.10.9 scikit-learn==1.7.2
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import statsmodels.api as sm
from calzone.metrics import CalibrationMetrics, cox_regression_analysis

random = np.random.default_rng(0)


def slope(outcomes, risks):
    """Return the slope of a logistic regression of the outcomes on the logits of their own risks."""
    return float(sm.Logit(outcomes, sm.add_constant(np.log(risks / (1 - risks)))).fit(disp=0).params[1])


logits = random.normal(size=(10000, 3))
true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
kinds = (random.random((10000, 1)) > true.cumsum(1)).sum(1)
sure = np.exp(logits * [1, 1, 3])
sure /= sure.sum(1, keepdims=True)
seen = [CalibrationMetrics(kind).calculate_metrics(kinds, sure, ["COX"])["COX coef"] for kind in range(3)]
own = [slope((kinds == kind).astype(int), sure[:, kind]) for kind in range(3)]
risks = random.uniform(0.05, 0.95, 10000)
ill = (random.random(10000) < risks).astype(int)
healthy = cox_regression_analysis(ill, np.column_stack([1 - risks, risks]), class_to_calculate=0)[0]
right = slope(1 - ill, 1 - risks)
print(
    f"slope for class 0, 1 and 2 of an overconfident network: {seen[0]:.2f}, {seen[1]:.2f} and {seen[2]:.2f}, by a "
    f"regression of their own {own[0]:.2f}, {own[1]:.2f} and {own[2]:.2f}; for class 0 of true risks: {healthy:.2f}, "
    f"by its own {right:.2f}"
)
same = max(seen) - min(seen) < 1e-6 and abs(seen[1] - own[1]) < 1e-3 and abs(seen[2] - own[2]) > 0.1
sys.exit(0 if same and healthy < -0.9 and right > 0.9 else "this has changed")
PYTHON
