#!/usr/bin/env bash
# py-agata 0.0.8, pandas 2.3.3, scipy 1.15.3, numpy 1.26.4.
# Behaviour: glucose_roc is the difference to the glucose of 15 minutes before, divided by 15, as its documentation
# says. It takes the third reading before instead, whatever the distance of readings is, and divides by 15: right for
# a reading every 5 minutes, three times too large for one every 15 minutes, as several sensors store, and a fifth for
# one every minute. std_glucose_roc is wrong by the same factor. Any even grid of times is accepted.
# Expected: a rise of 2 mg/dL/min, at any distance of readings.
# Seen: "rate of a rise by 2 mg/dL/min and spread of that of a wave, a reading every 5 minutes: 2.0 (0.92); every 15:
# 6.0 (2.61); every minute: 0.4 (0.19)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps py-agata==0.0.8
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 scipy==1.15.3 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from py_agata.variability import glucose_roc, std_glucose_roc


def rate(step):
    """Return the largest rate of a steady rise of 2 mg/dL a minute and the spread of that of a wave."""
    minute = np.arange(0, 2880, step)
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(minute, "min")
    rise = pd.DataFrame({"t": times, "glucose": 80 + 2.0 * minute}).iloc[: 120 // step]
    wave = pd.DataFrame({"t": times, "glucose": 140 + 50 * np.sin(2 * np.pi * minute / 240)})
    return f"{glucose_roc(rise).glucose_roc.max():.1f} ({std_glucose_roc(wave):.2f})"


line = (
    f"rate of a rise by 2 mg/dL/min and spread of that of a wave, a reading every 5 minutes: {rate(5)}; every 15: "
    f"{rate(15)}; every minute: {rate(1)}"
)
print(line)
expected = (
    "rate of a rise by 2 mg/dL/min and spread of that of a wave, a reading every 5 minutes: 2.0 (0.92); every 15: "
    "6.0 (2.61); every minute: 0.4 (0.19)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
