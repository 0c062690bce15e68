#!/usr/bin/env bash
# cenroc 0.0.7, statsmodels 0.14.4, scipy 1.13.1, pandas 2.2.3, matplotlib 3.9.4, numpy 1.26.4.
# Behaviour: cenROC is given times, a marker, who died and a time t, and reads neither the times nor t: its curve is the
# plain one of who ever died. Who left the study alive early counts as healthy, and every t has the same AUC.
# Expected: the AUC of deaths until t, by what is known of those who left (Beyene and El Ghouch, Stat Med 2020).
# Seen: "AUC of a marker after 1 year 0.87, after 5 years 0.87, with all times shuffled 0.87; of deaths within a year,
# everyone followed, 0.99"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check cenroc==0.0.7 statsmodels==0.14.4 scipy==1.13.1 \
    pandas==2.2.3 matplotlib==3.9.4 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from cenroc import cenROC

random = np.random.default_rng(0)
marker = random.normal(size=2000)
deaths = np.exp(1.5 - marker + 0.3 * random.normal(size=2000))  # years
left = random.uniform(0, 10, 2000)
times, died = np.minimum(deaths, left), (deaths <= left).astype(int)


def auc(times, after):
    """Return the AUC of deaths until this time (years)."""
    seen = cenROC(pd.Series(times), pd.Series(marker), pd.Series(died), after)
    return float(seen.AUC())


one, five, shuffled = auc(times, 1), auc(times, 5), auc(random.permutation(times), 1)
early = deaths < 1
true = np.mean(marker[early][:, None] > marker[~early]) + np.mean(marker[early][:, None] == marker[~early]) / 2
print(
    f"AUC of a marker after 1 year {one:.2f}, after 5 years {five:.2f}, with all times shuffled {shuffled:.2f}; of "
    f"deaths within a year, everyone followed, {true:.2f}"
)
sys.exit(not (one == five == shuffled and true - one > 0.1))
PYTHON
