#!/usr/bin/env bash
# pymia 0.3.4, SimpleITK 2.5.7, scikit-image 0.24.0, scipy 1.13.1, numpy 1.26.4.
# Behaviour: the errors of a reconstructed image are computed in the type of its pixels: where that has no sign, as of
# most MR and of all 8-bit images, an image that is 10 brighter has a mean absolute error of 246 in 8 bits and of 65526
# in 16. Squared errors wrap as well: 20 brighter is a mean squared error of 144 in 8 bits, and 16 brighter is none at
# all. Nothing warns, and floats are right.
# Expected: the same errors, whatever the type: 10, 400 and 16.
# Seen: "10 brighter: MAE 246 in 8 bits, 65526 in 16, 10 in floats; 20 brighter: MSE 144 in 8 bits, 400 in floats; 16
# brighter: RMSE 0 in 8 bits, 16 in floats"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 scikit-image==0.24.0 scipy==1.13.1 \
    numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pymia==0.3.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pymia.evaluation.metric import MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError

reference = np.random.default_rng(0).integers(60, 200, (8, 8, 8))


def error(metric, change, kind):
    """Return a metric of an image that is brighter by ``change``, in pixels of this type."""
    metric.reference, metric.prediction = reference.astype(kind), (reference + change).astype(kind)
    return f"{metric.calculate():g}"


absolute = [error(MeanAbsoluteError(), 10, kind) for kind in (np.uint8, np.uint16, np.float64)]
squared = [error(MeanSquaredError(), 20, kind) for kind in (np.uint8, np.float64)]
root = [error(RootMeanSquaredError(), 16, kind) for kind in (np.uint8, np.float64)]
line = (
    f"10 brighter: MAE {absolute[0]} in 8 bits, {absolute[1]} in 16, {absolute[2]} in floats; "
    f"20 brighter: MSE {squared[0]} in 8 bits, {squared[1]} in floats; "
    f"16 brighter: RMSE {root[0]} in 8 bits, {root[1]} in floats"
)
print(line)
expected = (
    "10 brighter: MAE 246 in 8 bits, 65526 in 16, 10 in floats; 20 brighter: MSE 144 in 8 bits, 400 in floats; 16 "
    "brighter: RMSE 0 in 8 bits, 16 in floats"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
