#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scikit-learn 1.9.1.
# Behaviour: ROCAUCMetric and compute_roc_auc of scores that are no number say nothing and give the order of the list: a
# network whose weights became NaN has an AUROC of 1.0 where the healthy patients are listed first, and 0.0 where the
# ill ones are. A list of patients by class, as folders of classes give it, has such an order.
# Expected: NaN, or an error, as in scikit-learn.
# Seen: "all scores NaN: healthy first 1.0, ill first 0.0; scikit-learn: an error"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import ROCAUCMetric
from sklearn.metrics import roc_auc_score


def area(scores, labels):
    metric = ROCAUCMetric()
    metric(torch.tensor(scores), torch.tensor(labels))
    return float(metric.aggregate())


nothing = float("nan")
healthy_first, ill_first = [0] * 5 + [1] * 5, [1] * 5 + [0] * 5
first, last = area([nothing] * 10, healthy_first), area([nothing] * 10, ill_first)
try:
    roc_auc_score(healthy_first, [nothing] * 10)
    other = "no error"
except ValueError:
    other = "an error"
print(f"all scores NaN: healthy first {first:.1f}, ill first {last:.1f}; scikit-learn: {other}")
sys.exit((first, last, other) != (1.0, 0.0, "an error"))
PYTHON
