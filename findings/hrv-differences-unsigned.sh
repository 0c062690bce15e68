#!/usr/bin/env bash
# heartpy 1.2.7, pyhrv 0.5.0, biosppy 2.2.4, nolds 0.6.2, peakutils 1.3.5, numpy 1.26.4, scipy 1.11.4, setuptools
# 80.9.0.
# Behaviour: SDSD of both libraries is the standard deviation of the sizes of the differences between successive
# intervals, without their signs: 0 for a heart whose intervals go up and down by 50 ms, and less than half of what it
# is with the breath.
# Expected: the standard deviation of the differences (Task Force, Circulation 1996, 93:1043, table 1), which is RMSSD
# where an interval does not drift, as hrv-analysis and NeuroKit2 have it.
# Seen: "up and down by 50 ms: heartpy 0.0, pyhrv 0.0, signed 50.0, RMSSD 50.0; breathing at 0.25 Hz: heartpy 15.1,
# pyhrv 15.1, signed 33.2, RMSSD 33.2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check heartpy==1.2.7 pyhrv==0.5.0 biosppy==2.2.4 \
    peakutils==1.3.5 numpy==1.26.4 scipy==1.11.4 setuptools==80.9.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall nolds==0.6.2  # Python 3.11
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
import pyhrv.time_domain
from heartpy.analysis import calc_ts_measures


def breathing(seconds=300):
    """Return the intervals (ms) of 75 beats a minute, which sway by 40 ms with the breath."""
    intervals, time = [], 0.0
    while time < seconds:
        intervals.append(800 + 40 * math.sin(2 * math.pi * 0.25 * time))
        time += intervals[-1] / 1000
    return np.array(intervals)


def said(intervals):
    sizes = np.abs(np.diff(intervals))
    measures = calc_ts_measures(intervals, sizes, sizes**2, {}, {})[1]
    other = pyhrv.time_domain.sdsd(intervals)["sdsd"]
    signed = np.diff(intervals).std()
    return f"heartpy {measures['sdsd']:.1f}, pyhrv {other:.1f}, signed {signed:.1f}, RMSSD {measures['rmssd']:.1f}"


line = f"up and down by 50 ms: {said(np.tile([775.0, 825.0], 150))}; breathing at 0.25 Hz: {said(breathing())}"
print(line)
expected = (
    "up and down by 50 ms: heartpy 0.0, pyhrv 0.0, signed 50.0, RMSSD 50.0; breathing at 0.25 Hz: heartpy 15.1, "
    "pyhrv 15.1, signed 33.2, RMSSD 33.2"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
