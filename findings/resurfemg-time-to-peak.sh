#!/usr/bin/env bash
# resurfemg 1.1.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: time_to_peak smooths a breath by a running mean over a tenth of it and takes the place of the largest
# mean. The means are numbered by the first sample of their window, not by its middle: every peak comes 5 % of the
# breath too early, at 45 % for a breath that is its own mirror image. pseudo_slope takes the height at that wrong
# place and divides by that wrong time: for a narrow peak at half of the breath it is 21 % too low.
# Expected: 50, 20 and 80 %, and a slope of the peak over its time, as without smoothing.
# Seen: "time to peak and slope over the right one, half a sine: 45 %, 1.10; a narrow peak at 20 %: 15 %, 0.95; peak
# at 50 %: 45 %, 0.79; peak at 80 %: 75 %, 0.76"
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
from resurfemg.postprocessing.features import pseudo_slope, time_to_peak

SAMPLES = 1000
place = np.arange(SAMPLES + 1)


def found(envelope):
    """Return the time to the peak in % of the breath, and the slope over that without smoothing."""
    percent = 100 * time_to_peak(envelope, [0], [SAMPLES])[1][0]
    slope = pseudo_slope(envelope, [0], [SAMPLES])[0] / pseudo_slope(envelope, [0], [SAMPLES], smoothing=False)[0]
    return f"{percent:.0f} %, {slope:.2f}"


line = (
    f"time to peak and slope over the right one, half a sine: {found(10 * np.sin(np.pi * place / SAMPLES))}; a narrow "
    + "; ".join(f"peak at {p // 10} %: {found(10 * np.exp(-(((place - p) / 60) ** 2) / 2))}" for p in (200, 500, 800))
)
print(line)
expected = (
    "time to peak and slope over the right one, half a sine: 45 %, 1.10; a narrow peak at 20 %: 15 %, 0.95; peak at "
    "50 %: 45 %, 0.79; peak at 80 %: 75 %, 0.76"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
