#!/usr/bin/env bash
# psmpy 0.3.16, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: PsmPy takes the outcome as target, "will ignore in regression/matching", keeps the name and does nothing
# with it: the outcome is a covariate of the propensity score like any other. Patients are matched by what became of
# them, and the effect of the treatment is matched away. Named in exclude as well, the outcome is ignored, and is no
# longer in the matched data either.
# Expected: a score without the outcome, as the reference says.
# Seen: "treatment that changes the risk of dying by -0.25: all patients -0.19, matched with the outcome as target -0.03
# (score of age and died), matched with it in exclude -0.23 (score of age)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check psmpy==0.3.16 scikit-learn==1.9.1 scipy==1.17.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")
from psmpy import PsmPy

random = np.random.default_rng(0)
count = 1500
age = random.normal(0, 1, count)  # in standard deviations
treated = (random.uniform(size=count) < 1 / (1 + np.exp(1 - age))).astype(int)  # the old more often
risk = 0.5 + 0.1 * np.tanh(age) - 0.25 * treated  # the treatment saves one in four
died = (random.uniform(size=count) < risk).astype(int)
patients = pd.DataFrame({"patient": np.arange(count), "treated": treated, "age": age, "died": died})


def effect(**options):
    """Return by how much more of the treated died than of the patients matched to them, and the score's columns."""
    matcher = PsmPy(patients.copy(), treatment="treated", indx="patient", **options)
    matcher.logistic_ps(balance=False)
    matcher.kdtree_matched(matcher="propensity_logit", replacement=False)
    matched = patients.set_index("patient").loc[matcher.df_matched["patient"]]
    died = matched.groupby("treated")["died"].mean()
    return float(died[1] - died[0]), matcher.xvars


named, excluded = effect(target="died"), effect(exclude=["died"])
crude = patients.groupby("treated")["died"].mean()
print(
    f"treatment that changes the risk of dying by -0.25: all patients {crude[1] - crude[0]:.2f}, matched with the "
    f"outcome as target {named[0]:.2f} (score of {' and '.join(named[1])}), matched with it in exclude {excluded[0]:.2f} (score "
    f"of {' and '.join(excluded[1])})"
)
assert "will ignore in regression/matching" in PsmPy.__doc__
sys.exit(not (named[0] > -0.1 and excluded[0] < -0.2 and "died" in named[1] and "died" not in excluded[1]))
PYTHON
