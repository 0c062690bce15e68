#!/usr/bin/env bash
# dowhy 0.14, scikit-learn 1.9.1, scipy 1.15.3, pandas 3.1.1, networkx 3.6.1, statsmodels 0.15.0, cvxpy 1.9.3, numpy
# 2.4.6.
# Behaviour: columns that distance matching is to match exactly (exact_match_cols) are taken out of the distance, and
# for the effect in the untreated (`atc`) they are not matched exactly either: the disease's severity is not looked at
# at all. For the treated and for everybody a table of more than one group ends in an IndexError.
# Expected: the effect of 2 that is the same in everybody, as with severity in the distance or by propensity scores.
# Seen: "effect in the untreated where it is 2.0: 1.90 by propensity weights, 1.56 by distance with severity in it,
# -0.59 with severity matched exactly, -0.47 without any matching"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dowhy==0.14 scikit-learn==1.9.1 scipy==1.15.3 \
    pandas==3.1.1 networkx==3.6.1 statsmodels==0.15.0 cvxpy==1.9.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
import pandas as pd
from dowhy import CausalModel

logging.disable(logging.CRITICAL)
random = np.random.default_rng(0)
severe, age = random.integers(0, 2, 1000), random.normal(60, 10, 1000).round()
treated = (random.random(1000) < np.where(severe, 0.7, 0.2)).astype(int)  # the severely ill are treated more often
outcome = 2.0 * treated - 5 * severe + 0.05 * age + random.normal(0, 1, 1000)
patients = pd.DataFrame({"severe": severe, "age": age, "treated": treated, "outcome": outcome})
model = CausalModel(patients, treatment="treated", outcome="outcome", common_causes=["severe", "age"])
estimand = model.identify_effect(proceed_when_unidentifiable=True)


def effect(method, **settings):
    """Return the mean effect in the untreated."""
    found = model.estimate_effect(
        estimand, method_name=f"backdoor.{method}", target_units="atc", method_params=settings
    )
    return float(found.value)


DISTANCE = {"distance_metric": "minkowski", "p": 2}
weighted = effect("propensity_score_weighting")
near = effect("distance_matching", **DISTANCE)
exact = effect("distance_matching", **DISTANCE, fit_params={"exact_match_cols": ["severe"]})
plain = outcome[treated == 1].mean() - outcome[treated == 0].mean()
print(
    f"effect in the untreated where it is 2.0: {weighted:.2f} by propensity weights, {near:.2f} by distance with "
    f"severity in it, {exact:.2f} with severity matched exactly, {plain:.2f} without any matching"
)
sys.exit(not (weighted > 1.5 and near > 1.2 and exact < 0 and abs(exact - plain) < 0.5))
PYTHON
