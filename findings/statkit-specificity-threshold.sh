#!/usr/bin/env bash
# statkit 1.1.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: sensitivity takes a risk of exactly the threshold for positive, specificity takes the same patient for
# negative, as do the rates of false positives and false negatives. youden_j_threshold returns one of the risks of the
# patients, so that both count the patients at it in the model's favour. A model that says 0.5 to everybody has a
# sensitivity of 1, a specificity of 1, Youden's J of 1 and, by the same module, misses all the ill.
# Expected: every patient on one side: sensitivity and the miss rate add up to 1, and J at the threshold of Youden is
# that of the ROC curve; the documentation of all of them has the same sentence on the threshold.
# Seen: "0.5 for everybody: sensitivity 1.0, miss rate 1.0, specificity 1.0, J 1.0; risks in steps of 0.1, at Youden's
# threshold of 0.5: sensitivity 0.80, specificity 0.76, by counting 0.80 and 0.58; J 0.56, on the ROC curve 0.38"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check statkit==1.1.0 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from sklearn.metrics import roc_curve
from statkit.metrics import false_negative_rate, sensitivity, specificity, youden_j, youden_j_threshold

ill, even = np.array([1] * 5 + [0] * 5), np.full(10, 0.5)
same = [rate(ill, even) for rate in (sensitivity, false_negative_rate, specificity, youden_j)]

random = np.random.default_rng(0)
ill = (random.random(400) < 0.3).astype(int)
risk = np.clip(np.round((random.normal(size=400) + ill + 2) / 5, 1), 0, 1)
threshold = float(youden_j_threshold(ill, risk))
seen = sensitivity(ill, risk, threshold), specificity(ill, risk, threshold)
called = risk >= threshold
counted = called[ill == 1].mean(), (~called)[ill == 0].mean()
false, true, _ = roc_curve(ill, risk)
best = (true - false).max()
print(
    "0.5 for everybody: sensitivity {:.1f}, miss rate {:.1f}, specificity {:.1f}, J {:.1f}; ".format(*same)
    + f"risks in steps of 0.1, at Youden's threshold of {threshold:.1f}: sensitivity {seen[0]:.2f}, specificity {seen[1]:.2f}, "
    f"by counting {counted[0]:.2f} and {counted[1]:.2f}; J {sum(seen) - 1:.2f}, on the ROC curve {best:.2f}"
)
sys.exit(not (same == [1, 1, 1, 1] and np.isclose(sum(counted) - 1, best) and sum(seen) - 1 > best + 0.1))
PYTHON
