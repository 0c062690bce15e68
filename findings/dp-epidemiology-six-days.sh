#!/usr/bin/env bash
# DP_epidemiology 0.1.1, OpenDP 0.11.1, pandas 3.1.1, numpy 2.4.6.
# Behaviour: the noise of a private sum is multiplied by the number of whole weeks in its period. A period of six days
# or less has none: its noise is 0, and hotspot_analyzer at epsilon 0.01 gives the exact numbers of visits in each
# postal code, three times of three. A period of seven days has a noise of about
# 100,000.
# Expected: the noise of one week, as a patient can take part in one, or an error: at a scale of 0 OpenDP's own map says
# that epsilon is infinite.
# Seen: "sums of visits at epsilon 0.01, exactly 120 and 251: over 6 days [120, 251] [120, 251] [120, 251], over 7 days
# off by 87418 in the mean; epsilon at a scale of 0 by OpenDP inf"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check opendp==0.11.1 pandas==3.1.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps DP_epidemiology==0.1.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from datetime import datetime

import numpy as np
import opendp.prelude as dp
import pandas as pd
from DP_epidemiology.hotspot_analyzer import hotspot_analyzer

visits = pd.DataFrame(
    {
        "merch_postal_code": ["500001"] * 3 + ["500002"] * 2,
        "transaction_type": ["OFFLINE"] * 5,
        "date": ["2020-03-02"] * 5,
        "nb_transactions": [100, 17, 3, 1, 250],
    }
)
exact = visits.groupby("merch_postal_code")["nb_transactions"].sum().tolist()


def sums(last_day):
    """Return the private sums from the 1st of March on, at epsilon 0.01."""
    end = datetime(2020, 3, last_day)
    return hotspot_analyzer(visits, datetime(2020, 3, 1), end, "Medellin", 0.01)["nb_transactions"].tolist()


six, seven = [sums(7) for _ in range(3)], [sums(8) for _ in range(20)]
space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
epsilon = (space >> dp.m.then_laplace(0.0)).map(600)
off = np.mean(np.abs(np.array(seven) - exact))
print(
    f"sums of visits at epsilon 0.01, exactly {exact[0]} and {exact[1]}: over 6 days {' '.join(map(str, six))}, over 7 "
    f"days off by {off:.0f} in the mean; epsilon at a scale of 0 by OpenDP {epsilon}"
)
sys.exit(not (all(answer == exact for answer in six) and off > 10_000 and epsilon == float("inf")))
PYTHON
