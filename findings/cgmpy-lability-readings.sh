#!/usr/bin/env bash
# cgmpy 0.6.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: the lability index is the sum over a week of squared changes from one hour to the next. Times are cut to
# their hours here, readings are sorted by these with a sort that does not keep the order of equals, and each is
# subtracted from the next reading, whatever hour it is of: changes within an hour between readings in no order. The
# index of the same glucose depends on how often the sensor reads.
# Expected: about the same for any sensor: 540 (mmol/L)2/h, which the hourly readings of the same glucose have.
# Seen: "lability index of one week of the same glucose: 1432 with a reading every 5 minutes, 636 every 15, 540 every
# 60; by its definition 540, 540 and 540"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check cgmpy==0.6.0 pandas==2.3.3 numpy==2.2.6 \
    matplotlib==3.10.9 seaborn==0.13.2 pyarrow==21.0.0 openpyxl==3.1.5
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from cgmpy.metrics.variability.lability import lability_index


def week(minutes):
    """Return glucose (mg/dL) that rises and falls by 60 in eight hours, and times, with a reading every so many min."""
    times = pd.Series(pd.date_range("2024-01-01", periods=7 * 1440 // minutes, freq=f"{minutes}min"))
    return pd.Series(140 + 60 * np.sin(2 * np.pi * np.arange(len(times)) * minutes / 480)), times


def defined(glucose, times):
    """Return the index by its definition (Ryan et al., 2004), of the readings on the hour, in (mmol/L)2/h."""
    hourly = glucose[times.dt.minute == 0].to_numpy() / 18.0156
    return float((np.diff(hourly) ** 2).sum())


seen = [lability_index(*week(minutes))["mean_li_mmol"] for minutes in (5, 15, 60)]
right = [defined(*week(minutes)) for minutes in (5, 15, 60)]
print(
    f"lability index of one week of the same glucose: {seen[0]:.0f} with a reading every 5 minutes, {seen[1]:.0f} "
    f"every 15, {seen[2]:.0f} every 60; by its definition {right[0]:.0f}, {right[1]:.0f} and {right[2]:.0f}"
)
same = max(right) - min(right) < 1 and abs(seen[2] - right[2]) < 1
sys.exit(0 if same and abs(seen[0] / right[0] - 1) > 0.3 and abs(seen[1] / right[1] - 1) > 0.1 else "this has changed")
PYTHON
