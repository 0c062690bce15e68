#!/usr/bin/env bash
# py-agata 0.0.8, pandas 2.3.3, scipy 1.15.3, numpy 1.26.4.
# Behaviour: mage_index, mage_plus_index and mage_minus_index are said to ignore missing values. A day without any
# reading counts as a day with an excursion of 0, and ef_index, the number of excursions a day, divides by such days,
# too. A patient whose glucose goes up and down by 100 mg/dL every day has a MAGE of 100, and of 50 where the sensor
# was off on half of the days. The standard deviation, worked out beside them, stays.
# Expected: a MAGE of 100 mg/dL and 7 excursions a day, whether or not the sensor was off on some days.
# Seen: "MAGE, excursions a day and deviation of ten days: 100, 8.0, 35; sensor off on two of them: 80, 6.4, 35; on
# five: 50, 4.0, 35"
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
from py_agata.variability import ef_index, mage_index, std_glucose

times = pd.date_range("2026-01-01", periods=2880, freq="5min")
glucose = 140 - 50 * np.cos(2 * np.pi * np.arange(2880) / 72)  # a wave of six hours, for ten days


def figures(off):
    """Return MAGE, excursions a day and standard deviation with the sensor off on days from the fourth on."""
    seen = glucose.copy()
    seen[3 * 288 : (3 + off) * 288] = np.nan
    data = pd.DataFrame({"t": times, "glucose": seen})
    return f"{mage_index(data):.0f}, {ef_index(data):.1f}, {std_glucose(data):.0f}"


line = (
    f"MAGE, excursions a day and deviation of ten days: {figures(0)}; sensor off on two of them: {figures(2)}; on "
    f"five: {figures(5)}"
)
print(line)
expected = (
    "MAGE, excursions a day and deviation of ten days: 100, 8.0, 35; sensor off on two of them: 80, 6.4, 35; on "
    "five: 50, 4.0, 35"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
