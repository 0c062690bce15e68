#!/usr/bin/env bash
# pyheartlib 1.22.0, numpy 1.26.4, scipy 1.11.4. Installed without its other dependencies, among them TensorFlow.
# Behaviour: the feature prr50 counts successive intervals that differ by more than 5 ms, not 50: for a heart whose
# intervals differ by 10 ms it is 100 %, and for nearly every other heart, too.
# Expected: pNN50, the share of successive intervals that differ by more than 50 ms (Task Force, Circulation 1996,
# 93:1043, table 1): 0 %.
# Seen: "prr50 (above 50 ms) of intervals that differ by 4 ms 0 % (0 %), by 10 ms 100 % (0 %), by 40 ms 100 % (0 %), by
# 60 ms 100 % (100 %)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pyheartlib==1.22.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.11.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pyheartlib.features import get_hrv_features

said = []
for by in (4, 10, 40, 60):  # ms
    intervals = np.tile([800.0, 800.0 + by], 50)[None]
    share = get_hrv_features(intervals, features=["prr50"])[0, 0]
    said.append(f"by {by} ms {share:.0f} % ({100 * (np.abs(np.diff(intervals)) > 50).mean():.0f} %)")
line = f"prr50 (above 50 ms) of intervals that differ {', '.join(said)}"
print(line)
expected = (
    "prr50 (above 50 ms) of intervals that differ by 4 ms 0 % (0 %), by 10 ms 100 % (0 %), by 40 ms 100 % (0 %), by "
    "60 ms 100 % (100 %)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
