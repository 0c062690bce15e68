#!/usr/bin/env bash
# bca-survival 0.2.6, lifelines 0.30.3, scikit-learn 1.9.1, statsmodels 0.15.0, seaborn 0.13.2, matplotlib 3.10.7, scipy
# 1.17.1, pandas 2.3.3, tqdm 4.67.1, numpy 2.4.6.
# Behaviour: perform_multivariate_cox_regression is to remove variables with a high variance inflation one after another
# until the rest are low. It removes all of them at once: of two that say the same, as muscle area and muscle index do,
# none stays, and survival is explained by what is left. It also removes them from the list that it was given.
# Expected: one of the two stays: its inflation is low without the other.
# Seen: "asked for muscle, muscle index and age: the model has age, with a concordance index of 0.51, and the list is
# ['age']; asked for muscle and age: muscle, age, 0.73"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.30.3 scikit-learn==1.9.1 \
    statsmodels==0.15.0 seaborn==0.13.2 matplotlib==3.10.7 scipy==1.17.1 pandas==2.3.3 tqdm==4.67.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps bca-survival==0.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")
from bca_survival.models import perform_multivariate_cox_regression

random = np.random.default_rng(0)
muscle, age = random.normal(150, 25, 400), random.normal(65, 8, 400)  # cm2, years
until, censored = random.exponential(900 * np.exp((muscle - 150) / 25)), random.uniform(300, 2000, 400)  # days
patients = pd.DataFrame(
    {
        "muscle": muscle,
        "muscle index": muscle / 2.9 + random.normal(0, 1, 400),
        "age": age,
        "days": np.minimum(until, censored),
        "event": (until <= censored).astype(int),
    }
)


def fitted(columns):
    """Return the variables of the model and its concordance index."""
    with contextlib.redirect_stdout(io.StringIO()):
        model = perform_multivariate_cox_regression(patients, columns)
    return list(model.params_.index), float(model.concordance_index_)


asked = ["muscle", "muscle index", "age"]
both, index = fitted(asked)
one, right = fitted(["muscle", "age"])
print(
    f"asked for muscle, muscle index and age: the model "
    f"has {', '.join(both)}, with a concordance index of {index:.2f}, "
    f"and the list is {asked}; asked for muscle and age: {', '.join(one)}, {right:.2f}"
)
sys.exit(not (both == asked == ["age"] and one == ["muscle", "age"] and right > index + 0.1))
PYTHON
