#!/usr/bin/env bash
# biosppy 2.2.4, peakutils 1.3.5, numpy 1.26.4, scipy 1.11.4, matplotlib 3.11.2.
# Behaviour: hrv_frequencydomain names the frequency bands that it was given in its result, and computes the powers of
# its default bands. A child who breathes 30 times a minute, with bands as for children (HF from 0.2 to 1.0 Hz), has no
# HF power at all: the default band ends at 0.4 Hz.
# Expected: 200 ms², the variance of +-20 ms at 0.5 Hz, in the band that is named.
# Seen: "HF from 0.2 to 1.0 Hz: 0.0 ms²; the same spectrum by compute_fbands: 194 ms²"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check biosppy==2.2.4 peakutils==1.3.5 numpy==1.26.4 \
    scipy==1.11.4 matplotlib==3.11.2
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
from biosppy.signals.hrv import compute_fbands, hrv_frequencydomain

BANDS = {"vlf": [0.0, 0.04], "lf": [0.04, 0.2], "hf": [0.2, 1.0]}  # Hz
intervals, time = [], 0.0
while time < 300:  # s
    intervals.append(500 + 20 * math.sin(2 * math.pi * 0.5 * time))  # ms
    time += intervals[-1] / 1000

found = hrv_frequencydomain(np.array(intervals), fbands=BANDS, detrend_rri=False)
again = compute_fbands(frequencies=found["frequencies"], powers=found["powers"], fbands=BANDS)
line = (
    f"HF from {found['fbands']['hf'][0]} to {found['fbands']['hf'][1]} Hz: {found['hf_pwr']:.1f} ms²; the same spectrum "
    f"by compute_fbands: {again['hf_pwr']:.0f} ms²"
)
print(line)
expected = "HF from 0.2 to 1.0 Hz: 0.0 ms²; the same spectrum by compute_fbands: 194 ms²"
sys.exit(0 if line == expected else "this has changed")
PYTHON
