#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: CalibrationErrorMetric puts a probability of NaN into the last bin, whose error is NaN then and left out of
# the sum, as if it were empty, while its pixels still count in the number that the sum is divided by. A network that
# gives NaN everywhere has an expected calibration error of 0, the best there is; with one such pixel of 256 an error of
# 0.49 is one of 0.22, as nothing is left of the half of the image that the network is sure of.
# Expected: NaN, as the same sum by hand gives, or an error.
# Seen: "expected calibration error of a network that is sure of half of an image, and no better than a coin: 0.490, by
# hand 0.490; with one pixel of 256 NaN: 0.217, by hand nan; with all pixels NaN: 0.000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import torch
from monai.metrics import CalibrationErrorMetric

generator = torch.Generator().manual_seed(0)
truth = (torch.rand(1, 1, 16, 16, generator=generator) > 0.5).float()
probabilities = torch.full((1, 1, 16, 16), 0.05)
probabilities[..., 8:, :] = 0.99


def error(values):
    """Return the expected calibration error of the image."""
    metric = CalibrationErrorMetric()
    metric(values, truth)
    return float(metric.aggregate())


def by_hand(values):
    """Return the same of its upper half, where all probabilities are alike, and its lower half, where they are."""
    return sum(float(abs(values[..., half, :].mean() - truth[..., half, :].mean())) / 2 for half in (upper, lower))


upper, lower = slice(0, 8), slice(8, 16)
one_nan = probabilities.clone()
one_nan[0, 0, 8, 0] = torch.nan
whole, one, every = error(probabilities), error(one_nan), error(torch.full_like(truth, torch.nan))
right, other = by_hand(probabilities), by_hand(one_nan)
print(
    f"expected calibration error of a network that is sure of half of an image, and no better than a coin: "
    f"{whole:.3f}, by hand {right:.3f}; with one pixel of 256 NaN: {one:.3f}, by hand {other:.3f}; "
    f"with all pixels NaN: {every:.3f}"
)
sys.exit(not (abs(whole - right) < 1e-4 and one < 0.6 * whole and every == 0 and math.isnan(other)))
PYTHON
