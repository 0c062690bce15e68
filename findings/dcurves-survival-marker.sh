#!/usr/bin/env bash
# dcurves 1.1.7, lifelines 0.30.3, numpy 2.4.6.
# Behaviour: for a survival outcome, models_to_prob turns a marker into the probability of surviving, not into the risk
# of the event, and dca takes it for the risk: those who will live are treated first. A marker that ranks patients well
# has a decision curve below that of treating nobody. The documentation calls these columns "risk scores from 0 to 1".
# For a binary outcome they are risks.
# Expected: the net benefit of the same Cox model's risk, handed in as a column.
# Seen: "net benefit at thresholds of 0.2, 0.4, 0.6: converted by models_to_prob 0.14, -0.12, -0.47; the Cox risk itself
# 0.42, 0.34, 0.24; treat all 0.38, 0.17, -0.24"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dcurves==1.1.7 lifelines==0.30.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from dcurves import dca
from lifelines import CoxPHFitter

random = np.random.default_rng(0)
marker = random.normal(size=400)
until, censored = random.exponential(5 * np.exp(-1.5 * marker)), random.uniform(1, 15, 400)  # years
patients = pd.DataFrame({"years": np.minimum(until, censored), "died": (until <= censored).astype(int), "marker": marker})
cox = CoxPHFitter().fit(patients, "years", "died")
patients["risk"] = 1 - cox.predict_survival_function(patients, times=3).to_numpy()[0]


def net_benefit(model, shown, **settings):
    found = dca(
        patients, "died", [model], thresholds=[0.2, 0.4, 0.6], time=3, time_to_outcome_col="years", **settings
    )
    return found.loc[found["model"] == shown, "net_benefit"].to_numpy()


converted = net_benefit("marker", "marker", models_to_prob=["marker"])
right, everyone = net_benefit("risk", "risk"), net_benefit("risk", "all")


def listed(values):
    return ", ".join(f"{value:.2f}" for value in values)


print(
    f"net benefit at thresholds of 0.2, 0.4, 0.6: converted by models_to_prob {listed(converted)}; the Cox risk itself "
    f"{listed(right)}; treat all {listed(everyone)}"
)
sys.exit(not ((converted[1:] < 0).all() and (right > 0.2).all() and (right > everyone).all()))
PYTHON
