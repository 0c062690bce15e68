#!/usr/bin/env bash
# glycosignal 0.2.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: adrr(), the average daily risk range, takes the lowest and the highest reading of the whole recording,
# however many days it has. Nothing is taken day by day, and nothing is averaged: one bad day of fourteen makes the
# patient's index that of the bad day, and it can only rise as the sensor is worn for longer.
# Expected: the mean of the days' risk ranges (Kovatchev et al., 2006): below 20 is a low risk, above 40 a high one.
# Seen: "average daily risk range of 13 days from 100 to 120 mg/dL and one from 50 to 260: 47.2 (4.0 day by day); of the
# one day alone: 47.2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check glycosignal==0.2.0 pandas==2.3.3 numpy==2.2.6 \
    scipy==1.15.3 matplotlib==3.10.9 tqdm==4.67.1
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from glycosignal import metrics

calm = 110 + 10 * np.sin(np.arange(13 * 288) / 30)
bad = 110 + 150 * np.clip(np.sin(np.arange(288) / 20), -0.4, 1)


def index(glucose):
    """Return the index of readings every five minutes."""
    times = pd.date_range("2024-01-01", periods=len(glucose), freq="5min")
    return metrics.adrr(pd.DataFrame({"Timestamp": times, "Glucose": glucose}))


def risk_range(day):
    """Return the risk range of one day by its definition."""
    scale = 1.509 * (np.log(day) ** 1.084 - 5.381)
    return 10 * min(scale.min(), 0) ** 2 + 10 * max(scale.max(), 0) ** 2


both = np.concatenate([calm, bad])
days = float(np.mean([risk_range(day) for day in both.reshape(14, 288)]))
line = (
    f"average daily risk range of 13 days from {calm.min():.0f} to {calm.max():.0f} mg/dL and one from {bad.min():.0f} "
    f"to {bad.max():.0f}: {index(both):.1f} ({days:.1f} day by day); of the one day alone: {index(bad):.1f}"
)
print(line)
expected = (
    "average daily risk range of 13 days from 100 to 120 mg/dL and one from 50 to 260: 47.2 (4.0 day by day); of the "
    "one day alone: 47.2"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
