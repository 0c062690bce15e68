#!/usr/bin/env bash
# cgmquantify-updated 0.5.3, pandas 2.3.3, numpy 2.2.6.
# Behaviour: MAGE finds peaks and valleys, and takes for the value of the first of them the first reading of the
# recording, for that of the second the second reading, and so on, not those at the places of the peaks. Then it adds up
# these values, not differences. The mean amplitude of excursions is the mean of the first few readings, whatever comes
# after.
# Expected: 200 mg/dL for glucose that goes from 70 to 270 and back, and 2 for glucose that goes from 99 to 101.
# Seen: "mean amplitude of excursions from 70 to 270 mg/dL after six hours at 80, 100 and 200: 80, 100 and 200 (200, 200
# and 200); from 99 to 101: 101 (2)"
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


def excursion(glucose):
    """Return the height from a valley to the next peak, which all excursions here have but the first."""
    turns = np.flatnonzero(np.diff(np.sign(np.diff(glucose)))) + 1
    return float(np.median(np.abs(np.diff(glucose[turns]))))


waves = 2 * np.pi * np.arange(576) / 72
seen, right = [], []
for start in (80.0, 100.0, 200.0):
    glucose = 170 + 100 * np.sin(waves)
    glucose[:72] = start
    seen.append(float(cgmquantify.MAGE(table(glucose))))
    right.append(excursion(glucose))
quiet = 100 + np.sin(waves)
small = float(cgmquantify.MAGE(table(quiet)))
line = (
    f"mean amplitude of excursions from 70 to 270 mg/dL after six hours at 80, 100 and 200: {seen[0]:.0f}, "
    f"{seen[1]:.0f} and {seen[2]:.0f} ({right[0]:.0f}, {right[1]:.0f} and {right[2]:.0f}); from 99 to 101: {small:.0f} "
    f"({excursion(quiet):.0f})"
)
print(line)
expected = (
    "mean amplitude of excursions from 70 to 270 mg/dL after six hours at 80, 100 and 200: 80, 100 and 200 (200, 200 "
    "and 200); from 99 to 101: 101 (2)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
