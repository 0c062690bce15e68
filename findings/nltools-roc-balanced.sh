#!/usr/bin/env bash
# nltools 0.5.1, scikit-learn 1.7.2, numpy 1.23.5.
# Behaviour: Roc with the threshold `optimal_balanced` looks for the largest mean of the true and the false positive
# rate, where that of sensitivity and specificity is meant. It is largest where everybody is called ill: for any
# classifier, one without an error, too, the sensitivity is 1 and the specificity 0.
# Expected: the threshold with the largest balanced accuracy, 1.00 for a classifier without an error and 0.89 for the
# other one here, by scikit-learn's roc_curve.
# Seen: "sensitivity, specificity, balanced accuracy and the best there is, of a classifier without an error 1.00, 0.00,
# 0.50 (1.00); of another 1.00, 0.00, 0.50 (0.89); of one that guesses 1.00, 0.00, 0.50 (0.56)"
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
from nltools.analysis import Roc
from sklearn.metrics import roc_curve

ill = np.repeat([True, False], [50, 150])
noise = np.random.default_rng(0).normal(0, 1, 200)


def figures(scores):
    """Return sensitivity, specificity and balanced accuracy of nltools, and the largest balanced accuracy."""
    found = Roc(input_values=scores, binary_outcome=ill)
    found.calculate(threshold_type="optimal_balanced", balanced_acc=True)
    false_rate, true_rate, _ = roc_curve(ill, scores)
    best = ((true_rate + 1 - false_rate) / 2).max()
    return f"{found.sensitivity:.2f}, {found.specificity:.2f}, {found.accuracy:.2f} ({best:.2f})"


line = (
    f"sensitivity, specificity, balanced accuracy and the best there is, of a classifier without an error "
    f"{figures(20 * ill + noise)}; of another {figures(2 * ill + noise)}; of one that guesses {figures(noise)}"
)
print(line)
expected = (
    "sensitivity, specificity, balanced accuracy and the best there is, of a classifier without an error 1.00, "
    "0.00, 0.50 (1.00); of another 1.00, 0.00, 0.50 (0.89); of one that guesses 1.00, 0.00, 0.50 (0.56)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
