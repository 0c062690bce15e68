#!/usr/bin/env bash
# cgmpy 0.6.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: modd() joins today's readings to yesterday's by their exact time. A sensor whose interval is not a whole
# part of a day never reads at the same second twice: nothing is joined, and the mean of daily differences is 0, which
# is that of somebody whose days are all alike. Times that are a second or two off by chance lose most readings.
# Expected: 100 mg/dL, or NaN where there is nothing to compare; CONGA beside it allows for a gap of two intervals.
# Seen: "mean of daily differences of two days 100 mg/dL apart: 100 with a reading every 300 s, 0 every 300.1 s; CONGA
# over 24 hours has 288 and 289 pairs"
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
from cgmpy.metrics.variability.conga import conga
from cgmpy.metrics.variability.modd import modd

glucose = pd.Series(np.repeat([100.0, 200.0], 288))


def compared(seconds):
    """Return the mean of daily differences (mg/dL), and the pairs that CONGA finds, for an interval of the sensor."""
    times = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(576) * seconds, "s"))
    return modd(glucose, times)["value"], conga(glucose, times, hours=24)["n"]


(exact, pairs), (drifting, others) = compared(300), compared(300.1)
line = (
    f"mean of daily differences of two days 100 mg/dL apart: {exact:.0f} with a reading every 300 s, {drifting:.0f} "
    f"every 300.1 s; CONGA over 24 hours has {pairs} and {others} pairs"
)
print(line)
expected = (
    "mean of daily differences of two days 100 mg/dL apart: 100 with a reading every 300 s, 0 every 300.1 s; CONGA "
    "over 24 hours has 288 and 289 pairs"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
