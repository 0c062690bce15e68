#!/usr/bin/env bash
# glucose360 0.0.2, numpy 1.26.4, pandas 2.2.3, scipy 1.11.4.
# Behaviour: the time above range ends at 400 mg/dL, and the time below it at 40: a reading of 450, which FreeStyle
# Libre, one of the sensors that the package reads, gives (40 to 500 mg/dL), is in no range, while the Glycemia Risk
# Index of the same package counts it. The levels are bounded by whole numbers (54 to 69, 181 to 249), and values
# between them, such as the package's own interpolation makes, are in no level: 53.5, 69.5, 180.5 and 249.5.
# Expected: time above range is the share of readings above 180, level 2 of those above 250 (Battelino et al., Diabetes
# Care 2019, 42:1593), and all shares add up to 100 %.
# Seen: "a quarter at 450: above range 0 %, level 2 0 %, risk index 40; a quarter each at 53.5, 180.5, 249.5: in range
# 25 %, low 0 % and 0 %, high 0 % and 0 %"
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


def day(*quarters):
    """Return a day of readings each 5 minutes, a quarter of them at each of these values (mg/dL)."""
    values = np.tile(np.array(quarters, float), 72)
    return pd.DataFrame({"Timestamp": pd.date_range("2024-01-01", periods=288, freq="5min"), "Glucose": values})


high, between = day(150, 150, 150, 450), day(150, 53.5, 180.5, 249.5)
shares = [
    getattr(features, f"percent_time_in_{name}")(between)
    for name in ["range"] + [f"level_{level}_{kind}" for kind in ("hypoglycemia", "hyperglycemia") for level in (1, 2)]
]
line = (
    f"a quarter at 450: above range {features.percent_time_above_range(high):.0f} %, "
    f"level 2 {features.percent_time_in_level_2_hyperglycemia(high):.0f} %, risk index {features.GRI(high):.0f}; "
    "a quarter each at 53.5, 180.5, 249.5: in range {:.0f} %, low {:.0f} % and {:.0f} %, high {:.0f} % and "
    "{:.0f} %".format(*shares)
)
print(line)
expected = (
    "a quarter at 450: above range 0 %, level 2 0 %, risk index 40; a quarter each at 53.5, 180.5, 249.5: in range "
    "25 %, low 0 % and 0 %, high 0 % and 0 %"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
