#!/usr/bin/env bash
# imbalanced-learn 0.14.2, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: specificity_score counts the true negatives as the number of patients less the weights of all others, so
# that with sample_weight it mixes patients and weights: -0.5 where 0.25 is right, and with weights that sum to 1, as
# those of a study are, 0.9 and more for any classifier. geometric_mean_score takes the root of it. sensitivity_score
# weighs rightly. The documentation says "Sample weights." and no more.
# Expected: the weight of the healthy who are called healthy, of that of all healthy: what recall_score of the healthy
# is.
# Seen: "weights 1, 3, 1, 1: specificity -0.50, recall of the healthy 0.25; weights that sum to 1: specificity 0.994,
# recall of the healthy 0.155"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check imbalanced-learn==0.14.2 scikit-learn==1.9.1 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from imblearn.metrics import sensitivity_score, specificity_score
from sklearn.metrics import recall_score


def both(ill, called, weight):
    """Return the specificity of imbalanced-learn and the recall of the healthy."""
    found = float(specificity_score(ill, called, average="binary", sample_weight=weight))
    return found, float(recall_score(ill, called, pos_label=0, sample_weight=weight))


few = both([0, 0, 1, 1], [0, 1, 1, 1], [1, 3, 1, 1])
random = np.random.default_rng(0)
ill = np.repeat([0, 1], 40)
called = np.where(random.random(80) < 0.9, 1, ill)  # a classifier that calls nearly everybody ill
weight = random.random(80)
weight /= weight.sum()
shares = both(ill, called, weight)
plain = both(ill, called, np.ones(80))
print(
    f"weights 1, 3, 1, 1: specificity {few[0]:.2f}, recall of the healthy {few[1]:.2f}; weights that sum to 1: "
    f"specificity {shares[0]:.3f}, recall of the healthy {shares[1]:.3f}"
)
equal = abs(plain[0] - plain[1]) < 1e-9
sensitivity = sensitivity_score(ill, called, average="binary", sample_weight=weight)
right = abs(sensitivity - recall_score(ill, called, sample_weight=weight)) < 1e-9
sys.exit(not (few == (-0.5, 0.25) and shares[0] > 0.9 and shares[1] < 0.2 and equal and right))
PYTHON
