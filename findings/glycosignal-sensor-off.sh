#!/usr/bin/env bash
# glycosignal 0.2.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: each reading counts for the time until the next one, however long that is. A reading before the sensor is
# off counts for the whole gap: one of 50 mg/dL, a single one in two days, makes 21 % of them severe hypoglycaemia and
# the risk index 100, the worst there is. Nothing is said of gaps.
# Expected: 5 minutes of the time that was recorded, 0.2 %.
# Seen: "below 54 mg/dL, one reading of 456: 5 min (0.2%) five minutes before the next, 605 min (21.0%) before ten hours
# without a sensor; risk index 0.9 and 100.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check glycosignal==0.2.0 pandas==2.3.3 numpy==2.2.6 \
    scipy==1.15.3 matplotlib==3.10.9 tqdm==4.67.1
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from glycosignal import metrics

times = pd.date_range("2024-01-01", periods=576, freq="5min")
worn = np.ones(576, bool)
worn[300:420] = False


def below(place):
    """Return minutes, share and risk index where the one low reading is at this place."""
    glucose = np.full(576, 120.0)
    glucose[place] = 50
    table = pd.DataFrame({"Timestamp": times[worn], "Glucose": glucose[worn]})
    return (
        f"{metrics.time_below_range_minutes(table, 54):.0f} min ({metrics.time_below_range_percent(table, 54):.1f}%)",
        f"{metrics.gri(table):.1f}",
    )


(early, low), (last, high) = below(200), below(299)
line = (
    f"below 54 mg/dL, one reading of {worn.sum()}: {early} five minutes before the next, {last} before ten hours "
    f"without a sensor; risk index {low} and {high}"
)
print(line)
expected = (
    "below 54 mg/dL, one reading of 456: 5 min (0.2%) five minutes before the next, 605 min (21.0%) before ten hours "
    "without a sensor; risk index 0.9 and 100.0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
