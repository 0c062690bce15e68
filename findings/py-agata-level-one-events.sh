#!/usr/bin/env bash
# py-agata 0.0.8, pandas 2.3.3, scipy 1.15.3, numpy 1.26.4.
# Behaviour: find_hypoglycemic_events_by_level takes those events out of level 1 that reach level 2. For each event
# below 54 mg/dL it takes out the last event below 70 that began strictly before it. Where glucose falls through both
# limits between two readings, both begin at the same reading: the deep event stays in level 1 and is counted twice,
# and the mild one before it, hours ago, is taken out instead. With one more reading at 65 on the way down it is
# right. find_hyperglycemic_events_by_level does the same.
# Expected: the mild event of 04:10 in level 1 and the deep one of 12:30 in level 2, both times.
# Seen: "62 mg/dL at 04:10 and 50 at 12:30: l1 12:30; l2 12:30, with a reading of 65 between: l1 04:10; l2 12:30; 200
# and 300: l1 12:30; l2 12:30, with a reading of 210 between: l1 04:10; l2 12:30"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps py-agata==0.0.8
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 scipy==1.15.3 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from py_agata.inspection import find_hyperglycemic_events_by_level, find_hypoglycemic_events_by_level

times = pd.date_range("2026-01-01", periods=288, freq="5min")


def levels(mild, deep, between, find):
    """Return when the events of each level begin, for a mild event at 04:10 and a deep one at 12:30."""
    glucose = np.full(288, 110.0)
    glucose[50:60], glucose[150:160] = mild, deep
    if between:
        glucose[149] = between
    found = find(pd.DataFrame({"t": times, "glucose": glucose}))
    return "; ".join(f"{k} " + " ".join(t.strftime("%H:%M") for t in found[k]["time_start"]) for k in ("l1", "l2"))


low, high = find_hypoglycemic_events_by_level, find_hyperglycemic_events_by_level
line = (
    f"62 mg/dL at 04:10 and 50 at 12:30: {levels(62, 50, None, low)}, with a reading of 65 between: "
    f"{levels(62, 50, 65, low)}; 200 and 300: {levels(200, 300, None, high)}, with a reading of 210 between: "
    f"{levels(200, 300, 210, high)}"
)
print(line)
expected = (
    "62 mg/dL at 04:10 and 50 at 12:30: l1 12:30; l2 12:30, with a reading of 65 between: l1 04:10; l2 12:30; 200 "
    "and 300: l1 12:30; l2 12:30, with a reading of 210 between: l1 04:10; l2 12:30"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
