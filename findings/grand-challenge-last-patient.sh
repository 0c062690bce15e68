#!/usr/bin/env bash
# grand-challenge-metrics 0.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: the bootstrap of get_bootstrapped_roc_ci_curves, and that of get_bootstrapped_ci_point_error, draws from
# all patients but the last: numpy's randint leaves its upper end out, and the library takes one off before. Where the
# last patient is the one who was missed, the confidence interval of an AUC of 0.80 is 1.00 to 1.00; with the same
# patients in another order it is 0.33 to 1.00. The documentation says that as many samples as there are predictions are
# selected from them.
# Expected: an interval that does not depend on the order of patients.
# Seen: "AUC 0.80; interval with the missed patient last 1.00 to 1.00, first 0.33 to 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check grand-challenge-metrics==0.6.0 scikit-learn==1.9.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from grand_challenge_metrics.roc import get_bootstrapped_roc_ci_curves
from sklearn.metrics import roc_auc_score

scores = np.r_[np.linspace(0.1, 0.5, 20), np.linspace(0.6, 0.9, 4), 0.05]  # the last one is ill and was missed
ill = np.r_[np.zeros(20, int), np.ones(5, int)]
whole = roc_auc_score(ill, scores)
(low, high), (lower, higher) = (
    (float(found.low_az_val), float(found.high_az_val))
    for found in (
        get_bootstrapped_roc_ci_curves(scores, ill, num_bootstraps=1000),
        get_bootstrapped_roc_ci_curves(scores[::-1], ill[::-1], num_bootstraps=1000),
    )
)
print(
    f"AUC {whole:.2f}; interval with the missed patient last {low:.2f} to {high:.2f}, first {lower:.2f} to {higher:.2f}"
)
sys.exit(not (whole < 0.85 and low > 0.999 and lower < 0.7))
PYTHON
