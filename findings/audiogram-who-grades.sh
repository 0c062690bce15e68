#!/usr/bin/env bash
# audiogram 0.1.0.
# Behaviour: `severity_from_thresholds` by the standard `who2021` has other grades than the World Report on Hearing of
# 2021, whose grades begin at 20, 35, 50, 65, 80 and 95 dB of the better ear. Here they begin above 25, 40, 55, 70 and
# 90: those of before, under the name of the new ones. `who2021` only chooses which tones are averaged.
# Expected: at 22.5, 37.5, 52.5, 67.5 and 82.5 dB mild, moderate, moderately severe, severe and profound.
# Seen: "grades by who2021 at 22.5, 37.5, 52.5, 67.5 and 82.5 dB: normal, mild, moderate, moderately_severe, severe; by
# the report mild, moderate, moderately_severe, severe, profound"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check audiogram==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from bisect import bisect_right

from audiogram.metrics import severity_from_thresholds

GRADES = ["normal", "mild", "moderate", "moderately_severe", "severe", "profound", "complete"]
levels = [22.5, 37.5, 52.5, 67.5, 82.5]
seen = [
    severity_from_thresholds({tone: level for tone in (500, 1000, 2000, 4000)}, standard="who2021") for level in levels
]
right = [GRADES[bisect_right([20, 35, 50, 65, 80, 95], level)] for level in levels]
print(
    f"grades by who2021 at 22.5, 37.5, 52.5, 67.5 and 82.5 dB: {', '.join(seen)}; by the report {', '.join(right)}"
)
sys.exit(0 if all(a != b for a, b in zip(seen, right)) and seen[0] == "normal" else "this has changed")
PYTHON
