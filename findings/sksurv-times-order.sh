#!/usr/bin/env bash
# scikit-survival 0.28.0, numpy 2.4.6.
# Behaviour: brier_score, integrated_brier_score and cumulative_dynamic_auc sort the times that they are given, and not
# the columns of the estimate: years listed as 15, 5, 1 with the survival at 15, 5 and 1 years have the estimate of the
# first held against the third. A model that is right has a Brier score of 0.56. A time listed twice is dropped, and the
# count of columns is compared with what is left. The documentation says that estimate[:, i] belongs to times[i].
# Expected: the same scores in any order of times.
# Seen: "the true model, years 1, 5, 15: 0.138, 0.167, 0.081, integrated 0.132; the same columns as 15, 5, 1: 0.521,
# 0.167, 0.564, integrated 0.350"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-survival==0.28.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from sksurv.metrics import brier_score, integrated_brier_score
from sksurv.util import Surv

random = np.random.default_rng(0)
marker = random.normal(size=500)
until, censored = random.exponential(5 * np.exp(-marker)), random.uniform(2, 30, 500)
patients = Surv.from_arrays(until <= censored, np.minimum(until, censored))


def scores(years):
    """Return the Brier scores in the order of years, and the integrated one, of the model that drew the patients."""
    alive = np.exp(-np.outer(np.exp(marker), years) / 5)
    found = dict(zip(*brier_score(patients, patients, alive, years), strict=True))
    return [float(found[year]) for year in years], float(integrated_brier_score(patients, patients, alive, years))


(up, up_mean), (down, down_mean) = scores(np.array([1.0, 5.0, 15.0])), scores(np.array([15.0, 5.0, 1.0]))


def listed(values):
    return ", ".join(f"{value:.3f}" for value in values)


print(
    f"the true model, years 1, 5, 15: {listed(up)}, integrated {up_mean:.3f}; the same columns as 15, 5, 1: "
    f"{listed(down)}, integrated {down_mean:.3f}"
)
sys.exit(not (max(up) < 0.2 and min(down[0], down[2]) > 0.4 and down_mean > 2 * up_mean))
PYTHON
