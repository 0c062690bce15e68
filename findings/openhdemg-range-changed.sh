#!/usr/bin/env bash
# openhdemg 0.1.2, pandas 2.2.3, numpy 2.2.0.
# Behaviour: compute_covisi takes a range of discharge rates in pulses per second, and turns it into numbers of
# samples in the list that it is given. The next recording judged with the same list has no firing in the range: its
# variability is NaN, and so is the discharge rate of compute_dr, and every second recording of a loop is missing. The
# range does not read [4, 30] any more, but [512.0, 68.3].
# Expected: the same figures each time.
# Seen: "rate and variability of the same recording three times: 10.1, 11.6 % with [512.0, 68.3] after it; nan, nan %
# with [4.0, 30.0] after it; 10.1, 11.6 % with [512.0, 68.3] after it"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check openhdemg==0.1.2 pandas==2.2.3 numpy==2.2.0
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import openhdemg.library as emg
import pandas as pd

random = np.random.default_rng(0)
firings = np.cumsum(np.round(2048 * random.normal(0.1, 0.012, 200))).astype(int)
recording = {"NUMBER_OF_MUS": 2, "MUPULSES": [firings, firings + 7], "FSAMP": 2048}
recording["REF_SIGNAL"] = pd.DataFrame({0: np.ones(firings[-1] + 100)})
limits = [4, 30]  # pulses per second
figures = []
for _ in range(3):
    rate = emg.compute_dr(recording, event_="rec_derec", idr_range=limits).loc[0, "DR_all"]
    variation = emg.compute_covisi(recording, event_="rec_derec", idr_range=limits).loc[0, "COVisi_all"]
    figures.append(f"{rate:.1f}, {variation:.1f} % with {[round(float(limit), 1) for limit in limits]} after it")
line = "rate and variability of the same recording three times: " + "; ".join(figures)
print(line)
expected = (
    "rate and variability of the same recording three times: 10.1, 11.6 % with [512.0, 68.3] after it; nan, nan % "
    "with [4.0, 30.0] after it; 10.1, 11.6 % with [512.0, 68.3] after it"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
