#!/usr/bin/env bash
# pobm 1.2.0, numpy 1.23.5, scipy 1.9.3.
# Behaviour: DesaturationsMeasures numbers desaturations in 8 bits. From the 129th on numbers are negative, and an event
# overwrites an earlier one, counted from the end: of 200 events 144 are left, and of 400 in a night 256. The index, by
# which sleep apnoea is graded, falls as the patient gets worse, and the time between events grows. NumPy 1.23 says
# nothing.
# Expected: an index of 60 an hour for a desaturation each minute, however long the night.
# Seen: "desaturations found by a fall of 3 % and below 90 %, one a minute, of 100: 100, 100, index 60; of 200: 144,
# 144, index 43; of 400: 256, 256, index 38"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pobm==1.2.0 numpy==1.23.5 scipy==1.9.3
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pobm._ResultsClasses import DesatMethodEnum
from pobm.obm.desat import DesaturationsMeasures

fall = np.repeat(np.arange(96, 87, -1), 2)
minute = np.concatenate([fall, fall[::-1], np.full(24, 96)]).astype(float)  # one value a second


def night(minutes):
    """Return how many desaturations are found, one a minute, and their index."""
    saturation = np.concatenate([np.full(24, 96.0), np.tile(minute, minutes)])
    by_fall = DesaturationsMeasures(desat_max_length=90).compute(saturation)
    below_90 = DesaturationsMeasures(threshold_method=DesatMethodEnum.Hard, hard_threshold=90).compute(saturation)
    return f"{minutes}: {len(by_fall.begin)}, {len(below_90.begin)}, index {below_90.ODI:.0f}"


nights = "; of ".join(map(night, (100, 200, 400)))
line = f"desaturations found by a fall of 3 % and below 90 %, one a minute, of {nights}"
print(line)
expected = (
    "desaturations found by a fall of 3 % and below 90 %, one a minute, of 100: 100, 100, index 60; of 200: 144, "
    "144, index 43; of 400: 256, 256, index 38"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
