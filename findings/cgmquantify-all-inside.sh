#!/usr/bin/env bash
# cgmquantify-updated 0.5.3, pandas 2.3.3, numpy 2.2.6.
# Behaviour: PIR, the share of readings within one standard deviation of the mean, counts those that are below the upper
# limit or above the lower one, which all are: it is 100 % for every patient. TIR beside it, the minutes, has `and`.
# Expected: TIR over all minutes, and 100 % less POR, the share outside.
# Seen: "within one standard deviation of the mean: 100.0%, outside of it 51.0%; by the minutes within 50.3%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps cgmquantify-updated==0.5.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==2.2.6 matplotlib==3.10.9 \
    statsmodels==0.14.5 scipy==1.15.3
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import cgmquantify
import numpy as np
import pandas as pd


def table(glucose):
    """Return readings every five minutes as the library reads them from a file."""
    times = pd.Series(pd.date_range("2024-01-01", periods=len(glucose), freq="5min"))
    return pd.DataFrame({"Time": times, "Glucose": glucose, "Day": times.dt.date})


readings = table(140 + 60 * np.sin(2 * np.pi * np.arange(576) / 144))
inside, outside = float(cgmquantify.PIR(readings)), float(cgmquantify.POR(readings))
minutes = cgmquantify.TIR(readings) / (5 * len(readings)) * 100
print(
    f"within one standard deviation of the mean: {inside:.1f}%, outside of it {outside:.1f}%; by the minutes within "
    f"{minutes:.1f}%"
)
sys.exit(0 if inside == 100 and outside > 40 and 40 < minutes < 60 else "this has changed")
PYTHON
