#!/usr/bin/env bash
# declearn 2.9.1, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: BinaryRocAUC, the federated area under the curve, is a sum over thresholds 0.1 apart (scale), and draws its
# curve from those points alone, without the corner at 0. A network that ranks all patients rightly, with risks below 10
# % as for a rare disease, has 0.5, as one that sees nothing. With bounds, which secure aggregation needs, the part of
# the curve that lies outside of them is missing from the area, without a word: logits nearly all of which lie below
# have 0. The reference calls scale the granularity of the thresholds.
# Expected: an area near the one of the ranks, or a warning where scores lie outside or in one step.
# Seen: "risks below 10 %: 0.50 (by ranks 1.00), with a scale of 0.001 1.00; logits within the bounds 0.92 (0.92), half
# of the healthy below 0.38 (0.92), nearly all 0.00 (0.92)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check declearn==2.9.1 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import warnings

import numpy as np
from declearn.metrics import BinaryRocAUC
from sklearn.metrics import roc_auc_score

random = np.random.default_rng(0)
ill = np.repeat([0, 1], (900, 100))


def both(scores, **options):
    """Return the area in declearn and in scikit-learn."""
    metric = BinaryRocAUC(**options)
    metric.update(ill, scores)
    return float(metric.get_result()["roc_auc"]), float(roc_auc_score(ill, scores))


risks = np.where(ill, random.uniform(0.05, 0.095, 1000), random.uniform(0, 0.05, 1000))
logits = random.normal(0, 1, 1000) + 2 * ill
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    rare, fine, inside = both(risks), both(risks, scale=0.001), both(logits, bound=(-10, 10))
    below, partly = both(logits - 8, bound=(-3, 3)), both(logits - 3, bound=(-3, 3))
print(
    f"risks below 10 %: {rare[0]:.2f} (by ranks {rare[1]:.2f}), with a scale of 0.001 {fine[0]:.2f}; logits within the "
    f"bounds {inside[0]:.2f} ({inside[1]:.2f}), half of the healthy below {partly[0]:.2f} ({partly[1]:.2f}), nearly all "
    f"{below[0]:.2f} ({below[1]:.2f})"
)
right = abs(fine[0] - fine[1]) < 0.01 and abs(inside[0] - inside[1]) < 0.01
sys.exit(not (right and not warned and abs(rare[0] - 0.5) < 1e-9 and rare[1] == 1 and below[0] < 0.1 < 0.8 < below[1]))
PYTHON
