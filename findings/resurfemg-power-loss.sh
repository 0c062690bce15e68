#!/usr/bin/env bash
# resurfemg 1.1.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: compute_power_loss is to give the percentage of power that a filter took away. It adds the frequencies of
# the spectrum to its power, as it sums what scipy's welch returns, a pair, and divides the power before by the power
# after. For an EMG in millivolts or microvolts, whose power is small beside frequencies up to 1024 Hz, the loss is
# 0.00 % whatever was taken; in nanovolts a filter that leaves half of the power has a loss of -96 %, and one that
# leaves a hundredth of -3,191 %.
# Expected: 50 % and 99 %, in each unit.
# Seen: "loss in % where half and where 99 % of the power are taken, in mV: 0.00, 0.00; in uV: 0.00, 0.00; in nV:
# -95.96, -3190.70"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check resurfemg==1.1.3 numpy==2.4.6 scipy==1.17.1 \
    pandas==3.1.1
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from resurfemg.preprocessing.filtering import compute_power_loss

RATE_HZ = 2048
emg_uv = np.random.default_rng(0).normal(0, 5, 60 * RATE_HZ)


def loss(unit):
    """Return the loss in % where half and where a hundredth of the power are left, in a unit of so many microvolts."""
    emg = emg_uv / unit
    found = [compute_power_loss(emg, RATE_HZ, emg * np.sqrt(left), RATE_HZ) for left in (0.5, 0.01)]
    return ", ".join(f"{abs(value) if abs(value) < 0.005 else value:.2f}" for value in found)


line = (
    f"loss in % where half and where 99 % of the power are taken, in mV: {loss(1000)}; in uV: {loss(1)}; in nV: "
    f"{loss(0.001)}"
)
print(line)
expected = (
    "loss in % where half and where 99 % of the power are taken, in mV: 0.00, 0.00; in uV: 0.00, 0.00; in nV: "
    "-95.96, -3190.70"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
