#!/usr/bin/env bash
# glucostats 1.0.0, pandas 2.2.3, numpy 2.2.3.
# Behaviour: the glycemia risk index weighs the share of time from 180 to 250 mg/dL by 0.8 and that above 250 by 1.6
# (Klonoff et al., 2022). The two weights are exchanged here: time far above the range counts half of time a little
# above it.
# Expected: 64 for a patient at 200 mg/dL for 80 % of the time, and 100, the worst there is, for one at 300.
# Seen: "glycemia risk index of a patient outside the range for 80% of the time: 100 at 200 mg/dL and 64 at 300 mg/dL;
# by the paper 64 and 100, by iglu-python 64 and 100"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check glucostats==1.0.0 iglu-python==0.4.3 pandas==2.2.3 \
    numpy==2.2.3
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from glucostats.stats.risks_stats import glycemia_risk
from iglu_python import gri

times = pd.date_range("2024-01-01", periods=1001, freq="5min")


levels = {"high": 200.0, "very high": 300.0}
glucose = {patient: [100.0] * 201 + [level] * 800 for patient, level in levels.items()}
table = pd.concat(
    pd.DataFrame({"time": times, "glucose": values}, index=[patient] * len(values)) for patient, values in glucose.items()
)
seen = glycemia_risk(table)["gri"]
other = {patient: float(gri(values)) for patient, values in glucose.items()}
paper = {patient: min(100.0, (1.6 if level > 250 else 0.8) * 80) for patient, level in levels.items()}
high, very_high = ((seen[patient], other[patient], paper[patient]) for patient in levels)
print(
    f"glycemia risk index of a patient outside the range for 80% of the time: {high[0]:.0f} at 200 mg/dL and "
    f"{very_high[0]:.0f} at 300 mg/dL; by the paper {high[2]:.0f} and {very_high[2]:.0f}, by iglu-python "
    f"{high[1]:.0f} and {very_high[1]:.0f}"
)
right = abs(high[1] - 64) < 0.5 and abs(very_high[1] - 100) < 0.5
sys.exit(0 if right and abs(high[0] - 100) < 0.5 and abs(very_high[0] - 64) < 0.5 else "this has changed")
PYTHON
