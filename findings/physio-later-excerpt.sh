#!/usr/bin/env bash
# physio 0.3.3, scipy 1.15.3, pandas 2.3.3, numpy 2.2.6.
# Behaviour: compute_hrv_psd makes its even grid from 0 to the length of the recording, and lays it on beats where they
# are. Beats of an excerpt that begins ten minutes into a recording are all later than the grid: a cubic spline is
# extrapolated over all of it. The power of the same rhythm is right for an excerpt from the first beat on, four times
# too high for one from the first minute on, and half a million times for one from the tenth. Nothing warns.
# Expected: the same power wherever an excerpt begins: half of the square of 30 ms, 450 ms2.
# Seen: "power from 0.04 to 0.15 Hz of a rhythm of 30 ms, beats from 0 s: 450 ms2; the same beats from 60 s: 1917 ms2;
# from 600 s: 2e+08 ms2; from 3600 s: 9e+11 ms2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check physio==0.3.3 scipy==1.15.3 pandas==2.3.3 \
    numpy==2.2.6 neo==0.14.2 tqdm==4.67.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import physio

beats = [0.0]
while beats[-1] < 600:
    phase = 2 * np.pi * beats[-1]
    beats.append(beats[-1] + 0.8 + 0.03 * np.sin(0.1 * phase) + 0.02 * np.sin(0.25 * phase))


def power(start):
    """Return the low-frequency power in ms2 of the same beats, the first of them at so many seconds."""
    peaks = pd.DataFrame({"peak_time": np.array(beats) + start})
    return float(physio.compute_hrv_psd(peaks, sample_rate=10.0, units="ms")[2]["lf"])


first, minute, ten, hour = (power(start) for start in (0, 60, 600, 3600))
print(
    f"power from 0.04 to 0.15 Hz of a rhythm of 30 ms, beats from 0 s: {first:.0f} ms2; the same beats from 60 s: "
    f"{minute:.0f} ms2; from 600 s: {ten:.0e} ms2; from 3600 s: {hour:.0e} ms2"
)
sys.exit(0 if 440 < first < 460 and minute > 1500 and ten > 1e8 and hour > 1e11 else "this has changed")
PYTHON
