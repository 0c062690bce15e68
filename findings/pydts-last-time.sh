#!/usr/bin/env bash
# pydts 0.10.3, lifelines 0.30.3, pandas 2.3.3, numpy 2.2.6.
# Behaviour: the integrated AUC and Brier score weigh each time by the events at it, as shares of all events, and then
# leave out the last time that is in the table. Where patients have the event at the last time, too, the weights do not
# sum to 1: the AUC of a model without an error is the share of events before, and its Brier score is too good by as
# much.
# Expected: 1 for risks that rank every patient rightly at every time.
# Seen: "AUC of risks without an error at each time: 1.00 1.00 1.00 1.00; integrated 0.81, with weights that sum to
# 0.81; with 50 patients censored a time later: integrated 1.00; Brier score of a coin 0.20, and 0.25"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pydts==0.10.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.30.3 pandas==2.3.3 numpy==2.2.6 \
    scipy==1.15.3
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from pydts import evaluation

risks = np.random.default_rng(0).uniform(size=600)
times = np.ceil(5 * (1 - risks)).astype(int).clip(1, 5)  # the higher the risk, the earlier the event


def scores(censored, told):
    """Return the AUC at each time, the integrated one, its weights, and the integrated Brier score of these risks."""
    table = pd.DataFrame({"X": np.append(times, np.full(censored, 6)), "J": np.repeat([1, 0], [600, censored])})
    for time in range(1, 7):
        table[f"prob_j1_at_t{time}"] = np.append(told, np.full(censored, told.min() - 1e-9))
    each = evaluation.event_specific_auc_at_t_all(table, 1)
    weights = float(evaluation.event_specific_weights(table, 1).sum())
    brier = float(evaluation.event_specific_integrated_brier_score(table, 1))
    return each, float(evaluation.event_specific_integrated_auc(table, 1)), weights, brier


each, integrated, weights, _brier = scores(0, risks)
_each, right, _weights, _brier = scores(50, risks)
coin, coin_right = scores(0, np.full(600, 0.5))[3], scores(50, np.full(600, 0.5))[3]
print(
    f"AUC of risks without an error at each time: {' '.join(f'{area:.2f}' for area in each)}; integrated "
    f"{integrated:.2f}, with weights that sum to {weights:.2f}; with 50 patients censored a time later: integrated "
    f"{right:.2f}; Brier score of a coin {coin:.2f}, and {coin_right:.2f}"
)
wrong = (each == 1).all() and abs(integrated - np.mean(times < 5)) < 1e-9 and abs(right - 1) < 1e-9
sys.exit(0 if wrong and coin < 0.21 and coin_right > 0.24 else "this has changed")
PYTHON
