#!/usr/bin/env bash
# pauc 0.2.2, scipy 1.17.1, matplotlib 3.11.2, numpy 2.4.6.
# Behaviour: the bootstrap of ci_auc and of compare chooses anew in each resample whether high or low values mean
# illness, also where a ROC was told (direction="<"): resamples of a model that is worse than chance are turned round.
# The interval of its AUC does not hold its AUC, and that of a difference to a good model does not hold the difference.
# Expected: the direction of the ROC that is handed in, as ci_sensitivity keeps it.
# Seen: "AUC 0.26: bootstrap 0.65 to 0.82, DeLong 0.17 to 0.35; difference to another model 0.50: bootstrap -0.07 to
# 0.14, DeLong 0.37 to 0.64"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pauc==0.2.2 scipy==1.17.1 matplotlib==3.11.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np

matplotlib.use("agg")
from pauc.roc_core import ROC
from pauc.stats import ci_auc, compare

random = np.random.default_rng(0)
ill = np.repeat([0, 1], 60)
good = ROC(ill, random.normal(size=120) + 1.0 * ill, direction="<")
bad = ROC(ill, random.normal(size=120) - 0.8 * ill, direction="<")  # its labels were swapped at one hospital
np.random.seed(0)
interval = ci_auc(bad, method="bootstrap", n_boot=1000)
difference = compare(good, bad, method="bootstrap", n_boot=1000)
delong, delong_difference = ci_auc(bad), compare(good, bad)
word = "{0[0]:.2f} to {0[1]:.2f}"
print(
    f"AUC {bad.auc:.2f}: bootstrap {word.format(interval)}, DeLong {word.format(delong)}; difference to another model "
    f"{difference.estimate:.2f}: bootstrap {word.format(difference.conf_int)}, DeLong "
    f"{word.format(delong_difference.conf_int)}"
)
missed = interval[0] > 0.5 > delong[1] and difference.conf_int[1] < difference.estimate
sys.exit(not (bad.auc < 0.4 and missed and delong_difference.conf_int[0] > difference.conf_int[1]))
PYTHON
