#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: the mean over patients leaves out NaN, and is 0 where nothing else is left. MAEMetric, MSEMetric and
# LossMetric of a network that gives NaN for every patient are 0, the best there is, so that it is kept as the best of
# all epochs; where it gives NaN for nine of ten patients the error is that of the tenth.
# Expected: NaN for no value, as torch.nanmean has it.
# Seen: "ages 10 years off: MAE 10.0, MSE 100.0, loss 10.0; NaN for nine of ten: MAE 10.0, MSE 100.0, loss 10.0; NaN for
# all: MAE 0.0, MSE 0.0, loss 0.0, by torch.nanmean nan"
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
from monai.metrics import LossMetric, MAEMetric, MSEMetric

ages = torch.linspace(20, 80, 10)[:, None]


def errors(said):
    """Return the three metrics of what a network says of ten patients, one at a time."""
    seen = {}
    for name, metric in (("MAE", MAEMetric()), ("MSE", MSEMetric()), ("loss", LossMetric(torch.nn.L1Loss()))):
        for one, age in zip(said, ages):
            metric(one[None], age[None])
        seen[name] = float(metric.aggregate())
    return seen


off = ages + 10
one_left = off.clone()
one_left[1:] = torch.nan
nothing = torch.full_like(ages, torch.nan)
right = float(torch.nanmean((nothing - ages).abs()))
kinds = {"ages 10 years off": errors(off), "NaN for nine of ten": errors(one_left), "NaN for all": errors(nothing)}
print(
    "; ".join(f"{kind}: {', '.join(f'{name} {e:.1f}' for name, e in seen.items())}" for kind, seen in kinds.items())
    + f", by torch.nanmean {right}"
)
sys.exit(not (not any(kinds["NaN for all"].values()) and kinds["ages 10 years off"]["MAE"] > 9 and math.isnan(right)))
PYTHON
