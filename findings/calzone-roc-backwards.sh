#!/usr/bin/env bash
# calzone-tool 0.1.0, numpy 1.26.4, scikit-learn 1.7.2.
# Behaviour: make_roc_curve goes from the lowest threshold to the highest, so the curve runs from right to left and the
# area under it is negative. It ends at the highest risk that is given, not above it: of the area below that point
# nothing is counted, which is 0.10 for a model that answers yes or no.
# Expected: the area of scikit-learn.
# Seen: "area under the curve of true risks: -0.80 (scikit-learn: 0.80); of the same rounded to yes and no: -0.62
# (0.72)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check calzone-tool==0.1.0 statsmodels==0.14.5 \
    scipy==1.15.3 numpy==1.26.4 pandas==2.3.3 matplotlib==3.10.9 scikit-learn==1.7.2
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from calzone.utils import make_roc_curve
from sklearn.metrics import roc_auc_score

random = np.random.default_rng(0)
risks = random.uniform(0.05, 0.95, 10000)
ill = (random.random(10000) < risks).astype(int)


def areas(answers):
    """Return the area under the curve, and that of scikit-learn."""
    area = float(make_roc_curve(ill, np.column_stack([1 - answers, answers]), class_to_plot=1)[2])
    return area, float(roc_auc_score(ill, answers))


(exact, right), (rounded, binary) = areas(risks), areas(np.round(risks))
print(
    f"area under the curve of true risks: {exact:.2f} (scikit-learn: {right:.2f}); of the same rounded to yes and no: "
    f"{rounded:.2f} ({binary:.2f})"
)
sys.exit(0 if abs(exact + right) < 0.001 and rounded < 0 and binary + rounded > 0.05 else "this has changed")
PYTHON
