#!/usr/bin/env bash
# diametrics 0.4.3, pandas 2.3.3, numpy 1.26.4, scikit-learn 1.7.2.
# Behaviour: glycemic_risk_index weighs the shares of time by 0.5 (below 54 mg/dL), 0.2 (54 to 69), 0.2 (181 to 250) and
# 0.5 (above 250). The index of Klonoff et al. (2022) that it is named for has 3.0, 2.4, 0.8 and 1.6: time low counts
# more than time high. A patient who is below 54 mg/dL for a tenth of the day has 5 and is in the best of the five zones
# (0 to 20) instead of the second (20 to 40), and no patient can have more than 50.
# Expected: 3.0 times 10 %, which is 30, and 100, where the index ends, for a day above 250 mg/dL.
# Seen: "glycemia risk index of a day with 10.1% below 54 mg/dL: 5.0 (30.2 by its definition); with 20.1% from 54 to 69:
# 4.0 (48.3); of a day at 300 mg/dL: 50.0 (100.0)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps diametrics==0.4.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==1.26.4 scipy==1.15.3 \
    scikit-learn==1.7.2 matplotlib==3.10.9 seaborn==0.13.2 plotly==5.24.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from diametrics import metrics

times = pd.date_range("2024-01-01", periods=288, freq="5min")


def indices(readings, glucose):
    """Return the index of a day with so many readings of that glucose, the others 120 mg/dL, and the published one."""
    day = np.full(288, 120.0)
    day[:readings] = glucose
    index = float(metrics.glycemic_risk_index(pd.DataFrame({"time": times, "glc": day}), units="mg")["gri"].iloc[0])
    shares = np.array([day < 54, (day >= 54) & (day < 70), (day > 180) & (day <= 250), day > 250]).mean(1) * 100
    return f"{index:.1f} ({min(100.0, float(shares @ [3.0, 2.4, 0.8, 1.6])):.1f}"


line = (
    f"glycemia risk index of a day with {29 / 288:.1%} below 54 mg/dL: {indices(29, 50.0)} by its definition); with "
    f"{58 / 288:.1%} from 54 to 69: {indices(58, 60.0)}); of a day at 300 mg/dL: {indices(288, 300.0)})"
)
print(line)
expected = (
    "glycemia risk index of a day with 10.1% below 54 mg/dL: 5.0 (30.2 by its definition); with 20.1% from 54 to 69: "
    "4.0 (48.3); of a day at 300 mg/dL: 50.0 (100.0)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
