#!/usr/bin/env bash
# pobm 1.2.0, numpy 1.23.5, scipy 1.9.3.
# Behaviour: DesaturationsMeasures takes the beginnings and ends of desaturations that are known already, as from a
# scored night, and finds none among them: the index and every other figure are 0, without a warning. Afterwards it goes
# through events together with a list of their numbers, which is empty in this case.
# Expected: the index of the events that were handed over: 50 in a night of an hour and a bit, as the same class counts
# when it finds them itself. Its documentation has this call as its second example.
# Seen: "50 desaturations in 51 minutes: 50 found, index 59.1, mean length 28 s; with their places handed over 0, index
# 0.0, mean length 0 s"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pobm==1.2.0 numpy==1.23.5 scipy==1.9.3
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pobm.obm.desat import DesaturationsMeasures

fall = np.repeat(np.arange(96, 87, -1), 2)
event = np.concatenate([fall, fall[::-1]]).astype(float)  # 36 s, one value a second
calm = np.full(24, 96.0)
saturation = np.concatenate([calm, *[np.concatenate([event, calm])] * 50, calm])
begins = 24 + 60 * np.arange(50)
found = DesaturationsMeasures().compute(saturation)
known = DesaturationsMeasures().compute(saturation, begins, begins + 36)
line = (
    f"50 desaturations in {len(saturation) / 60:.0f} minutes: {len(found.begin)} found, index {found.ODI:.1f}, mean "
    f"length {found.DL_u:.0f} s; with their places handed over {len(known.begin)}, index {known.ODI:.1f}, mean length "
    f"{known.DL_u:.0f} s"
)
print(line)
expected = (
    "50 desaturations in 51 minutes: 50 found, index 59.1, mean length 28 s; with their places handed over 0, "
    "index 0.0, mean length 0 s"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
