#!/usr/bin/env bash
# nltools 0.5.1, scikit-learn 1.7.2, numpy 1.23.5.
# Behaviour: Roc draws its curve through 50 thresholds a patient, spaced evenly from the smallest to the largest score.
# Where scores are spread unevenly, most patients lie between two of them: the same ranking has another area under the
# curve as odds (0.73) than as their logarithm (0.95), and one patient whose score is far off all others takes it to
# 0.51.
# Expected: the same area for the same ranking, 0.95, by scikit-learn's roc_auc_score.
# Seen: "area under the curve of the same ranking: scores 0.95 (0.95); their exponential 0.95 (0.95); that of five times
# the scores 0.73 (0.95); the largest score far off 0.51 (0.95)"
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
from sklearn.metrics import roc_auc_score

ill = np.repeat([True, False], 100)
scores = 2 * ill + np.random.default_rng(0).normal(0, 1, 200)
far = scores.copy()
far[far.argmax()] = 1e6


def areas(values):
    """Return the area under the curve of nltools and of scikit-learn."""
    found = Roc(input_values=values, binary_outcome=ill)
    found.calculate()
    return f"{found.auc:.2f} ({roc_auc_score(ill, values):.2f})"


line = (
    f"area under the curve of the same ranking: scores {areas(scores)}; their exponential {areas(np.exp(scores))}; "
    f"that of five times the scores {areas(np.exp(5 * scores))}; the largest score far off {areas(far)}"
)
print(line)
expected = (
    "area under the curve of the same ranking: scores 0.95 (0.95); their exponential 0.95 (0.95); that of five "
    "times the scores 0.73 (0.95); the largest score far off 0.51 (0.95)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
