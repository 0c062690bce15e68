#!/usr/bin/env bash
# openhdemg 0.1.2, pandas 2.2.3, numpy 2.2.0.
# Behaviour: estimate_cv_via_mle searches for the delay between electrodes that fits best from a first guess, in at
# most 30 steps of half a sample. find_mle_teta, which is to make that guess from 1 to 10 m/s, takes the distance of
# electrodes in mm for one in metres: it compares delays of 1638 samples and more, where signals of 100 do not
# overlap, and the guess is always 1 sample. At 10240 samples a second a delay above 16 is out of reach: conduction at
# 3, 4 and 5 m/s is all 5.3 m/s. At 2048 the search ends at a side peak where action potentials are short.
# Expected: 3, 4 and 5 m/s, as from a guess within 5 % of the delay.
# Seen: "conduction at 3, 4 and 5 m/s, 2048 samples a second: 3.0 4.0 5.0 (3.0 4.0 5.0), guess 1; 10240: 5.3 5.3 5.3
# (3.0 4.0 5.0), guess 1; 2048 and short: 5.8 4.0 5.0 (3.0 4.0 5.0), guess 1"
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

DISTANCE_MM = 8


def velocities(rate, width_ms):
    """Return the velocities found for 3, 4 and 5 m/s, and from a good guess."""
    found, right, guesses = [], [], set()
    milliseconds = np.arange(-25, 25, 1000 / rate)
    for velocity in (3, 4, 5):
        places = [(milliseconds + 6 - electrode * DISTANCE_MM / velocity) / width_ms for electrode in range(4)]
        action = pd.DataFrame({n: (1 - place**2) * np.exp(-(place**2) / 2) for n, place in enumerate(places)})
        found.append(emg.estimate_cv_via_mle({"IED": DISTANCE_MM, "FSAMP": rate}, action))
        guesses.add(emg.find_mle_teta(action[1].to_numpy(), action[2].to_numpy(), DISTANCE_MM, rate))
        delay = DISTANCE_MM / 1000 / velocity * rate
        right.append(emg.mle_cv_est(action.to_numpy().T, 0.95 * delay, DISTANCE_MM, rate)[0])
    values = [" ".join(f"{abs(v):.1f}" for v in each) for each in (found, right)]
    return f"{values[0]} ({values[1]}), guess {' '.join(str(int(g)) for g in guesses)}"


line = (
    f"conduction at 3, 4 and 5 m/s, 2048 samples a second: {velocities(2048, 1.5)}; 10240: {velocities(10240, 1.5)}; "
    f"2048 and short: {velocities(2048, 1.0)}"
)
print(line)
expected = (
    "conduction at 3, 4 and 5 m/s, 2048 samples a second: 3.0 4.0 5.0 (3.0 4.0 5.0), guess 1; 10240: 5.3 5.3 5.3 "
    "(3.0 4.0 5.0), guess 1; 2048 and short: 5.8 4.0 5.0 (3.0 4.0 5.0), guess 1"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
