#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.13.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: the Matthews correlation of a classifier that calls everybody healthy, which sees nothing and has 0, is
# 0.27 in torchmetrics where 10 of 100 are ill and 0.98 where 1 is: where the denominator is 0 the result is made of the
# accuracy. One that finds the only ill patient and calls one healthy patient ill has 0.70: a model is chosen that finds
# nobody. The classes and functions, binary and multiclass, share it. No warning is given; the documentation calls it
# the general quality of a classification and does not name this case.
# Expected: 0 or NaN, as scikit-learn has 0.
# Seen: "everybody called healthy: 0.27 where 10 of 100 are ill (scikit-learn 0.00), 0.98 where 1 is (0.00), 0.00 where
# 50 are; the ill patient and a healthy one called ill: 0.70 (0.70)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 scikit-learn==1.9.1 torch==2.13.0 \
    numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from sklearn.metrics import matthews_corrcoef
from torchmetrics.classification import BinaryMatthewsCorrCoef, MulticlassMatthewsCorrCoef


def both(patients, ill, called):
    """Return the correlation in torchmetrics and in scikit-learn; the first are ill, and the first are called so."""
    truth = (torch.arange(patients) < ill).long()
    answer = (torch.arange(patients) < called).long()
    found = BinaryMatthewsCorrCoef()(answer, truth).item()
    assert MulticlassMatthewsCorrCoef(2)(answer, truth).item() == found
    return found, float(matthews_corrcoef(truth, answer))


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    ten, one, none = both(100, 10, 0), both(100, 1, 0), both(100, 50, 0)
    finds = both(100, 1, 2)
print(
    f"everybody called healthy: {ten[0]:.2f} where 10 of 100 are ill (scikit-learn {ten[1]:.2f}), {one[0]:.2f} where "
    f"1 is ({one[1]:.2f}), {none[0]:.2f} where 50 are; the ill patient and a healthy one called ill: {finds[0]:.2f} "
    f"({finds[1]:.2f})"
)
right = abs(finds[0] - finds[1]) < 1e-6 and abs(none[0]) < 0.01
sys.exit(not (right and not warned and ten[1] == one[1] == 0 and ten[0] > 0.2 and one[0] > 0.95 > finds[0]))
PYTHON
