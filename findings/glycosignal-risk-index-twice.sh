#!/usr/bin/env bash
# glycosignal 0.2.0, pandas 2.3.3, numpy 2.2.6.
# Behaviour: gri() multiplies the time below 54 mg/dL by 3.0 and the time below 70, in which it is counted once more, by
# 2.4; above 180 and 250 likewise. The paper that is named has 54 to 70 and 180 to 250 there. Each minute below 54
# counts 5.4 for 3.0, and each above 250 counts 2.4 for 1.6. A tenth of a day below 54 is in the third of five zones (40
# to 60) for the second (20 to 40).
# Expected: 3.0, 2.4, 0.8 and 1.6 times four shares of the day that do not overlap (Klonoff et al., 2022).
# Seen: "glycemia risk index of a day with 10.1% below 54 mg/dL: 54.4 (30.2 by its definition); with 20.1% above 250:
# 48.3 (32.2); with 20.1% from 54 to 69: 48.3 (48.3)"
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

times = pd.date_range("2024-01-01", periods=288, freq="5min")


def indices(readings, glucose):
    """Return the index of a day with so many readings of that glucose, the others 120 mg/dL, and the published one."""
    day = np.full(288, 120.0)
    day[:readings] = glucose
    shares = np.array([day < 54, (day >= 54) & (day < 70), (day > 180) & (day <= 250), day > 250]).mean(1) * 100
    index = metrics.gri(pd.DataFrame({"Timestamp": times, "Glucose": day}))
    return f"{index:.1f} ({min(100.0, float(shares @ [3.0, 2.4, 0.8, 1.6])):.1f}"


line = (
    f"glycemia risk index of a day with {29 / 288:.1%} below 54 mg/dL: {indices(29, 50.0)} by its definition); with "
    f"{58 / 288:.1%} above 250: {indices(58, 300.0)}); with {58 / 288:.1%} from 54 to 69: {indices(58, 60.0)})"
)
print(line)
expected = (
    "glycemia risk index of a day with 10.1% below 54 mg/dL: 54.4 (30.2 by its definition); with 20.1% above 250: "
    "48.3 (32.2); with 20.1% from 54 to 69: 48.3 (48.3)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
