#!/usr/bin/env bash
# glucose360 0.0.2, numpy 1.26.4, pandas 2.2.3, scipy 1.11.4.
# Behaviour: MAG removes the rows without a reading from the table that it is given. What is computed after it from the
# same table by counting rows, MODD and CONGA, then compares other times of day: of a patient whose days are alike but
# for a gap of two and a half hours, who has 0 in both, MODD is 3.5 mg/dL and CONGA 9.3 once MAG was asked for.
# Expected: the table as it was, and the same MODD and CONGA in any order.
# Seen: "864 rows, MODD 0.0, CONGA 0.0; after MAG 834 rows, MODD 3.5, CONGA 9.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check glucose360==0.0.2 numpy==1.26.4 pandas==2.2.3 \
    scipy==1.11.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from glucose360 import features

values = 150 + 60 * np.sin(2 * np.pi * np.arange(3 * 288) / 288)  # mg/dL: three days, each like the other
values[100:130] = np.nan  # the sensor was off
days = pd.DataFrame({"Timestamp": pd.date_range("2024-01-01", periods=len(values), freq="5min"), "Glucose": values})


def said():
    return f"{len(days)} rows, MODD {features.MODD(days):.1f}, CONGA {features.CONGA(days):.1f}"


before = said()
features.MAG(days)
line = f"{before}; after MAG {said()}"
print(line)
expected = "864 rows, MODD 0.0, CONGA 0.0; after MAG 834 rows, MODD 3.5, CONGA 9.3"
sys.exit(0 if line == expected else "this has changed")
PYTHON
