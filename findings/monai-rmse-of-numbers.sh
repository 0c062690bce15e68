#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: RMSEMetric takes the root for each patient and then the mean over patients: of a network that tells one
# number for each, such as an age or a volume, the root of a single square is its absolute error, and the metric is the
# mean absolute error, to the last digit. One patient who is 20 years off weighs no more than ten who are 2 years off.
# Expected: the root of the mean over all n, as in the formula of its documentation, and as in scikit-learn.
# Seen: "one patient 20 years off: RMSEMetric 2.00, MAEMetric 2.00, scikit-learn's root of the mean square 6.32; ten 2
# years off: RMSEMetric 2.00, MAEMetric 2.00, scikit-learn's root of the mean square 2.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import MAEMetric, RMSEMetric
from sklearn.metrics import root_mean_squared_error

true = torch.full((10, 1), 60.0)  # (patients, 1) ages
one, all_of_them = true.clone(), true + 2
one[0] += 20
seen = {}
for name, told in (("one patient 20 years off", one), ("ten 2 years off", all_of_them)):
    values = []
    for metric in (RMSEMetric(), MAEMetric()):
        metric(told, true)
        values.append(float(metric.aggregate()))
    seen[name] = (*values, float(root_mean_squared_error(true.numpy(), told.numpy())))
print(
    "; ".join(
        "{}: RMSEMetric {:.2f}, MAEMetric {:.2f}, scikit-learn's root of the mean square {:.2f}".format(name, *values)
        for name, values in seen.items()
    )
)
first, second = seen.values()
sys.exit(not (first[0] == first[1] == 2 and abs(first[2] - 40**0.5) < 1e-5 and second == (2, 2, 2)))
PYTHON
