#!/usr/bin/env bash
# glycosignal 0.2.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: mage() takes for a peak a reading that is above the one before and above the one after. A peak of two equal
# readings is none. Sensors give whole mg/dL, and a rise and fall over hours has equal readings at its top and its
# bottom: all turning points are lost, and the mean amplitude of excursions is 0, which is what somebody without any
# has.
# Expected: 100 mg/dL for glucose that goes from 70 to 170 and back every six hours.
# Seen: "mean amplitude of excursions from 70 to 170 mg/dL: 100.0 with all digits, 0.0 in whole mg/dL; with a straight
# rise and fall 100.0, and 0.0 where the top and the bottom last for two readings"
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


def amplitude(glucose):
    """Return the mean amplitude of excursions (MAGE) of readings every five minutes."""
    times = pd.date_range("2024-01-01", periods=len(glucose), freq="5min")
    return f"{metrics.mage(pd.DataFrame({'Timestamp': times, 'Glucose': glucose})):.1f}"


wave = 120 + 50 * np.sin(2 * np.pi * np.arange(864) / 72)
rise = np.linspace(70, 170, 20)
line = (
    f"mean amplitude of excursions from 70 to 170 mg/dL: {amplitude(wave)} with all digits, "
    f"{amplitude(np.round(wave))} in whole mg/dL; with a straight rise and fall "
    f"{amplitude(np.tile(np.concatenate([rise, rise[-2:0:-1]]), 6))}, and "
    f"{amplitude(np.tile(np.concatenate([rise, rise[::-1]]), 6))} where the top and the bottom last for two readings"
)
print(line)
expected = (
    "mean amplitude of excursions from 70 to 170 mg/dL: 100.0 with all digits, 0.0 in whole mg/dL; with a straight "
    "rise and fall 100.0, and 0.0 where the top and the bottom last for two readings"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
