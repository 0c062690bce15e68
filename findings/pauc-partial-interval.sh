#!/usr/bin/env bash
# pauc 0.2.2, scipy 1.17.1, matplotlib 3.11.2, numpy 2.4.6.
# Behaviour: ci_auc of a partial AUC gives, by default, the partial area and the DeLong error of the whole one: the
# interval of an area that can be 0 to 0.1 begins below 0 and ends above 0.1. By the bootstrap it forgets whether the
# area was standardised and whether it lies at a high sensitivity or a high specificity: the interval is that of another
# quantity, and does not hold the estimate. compare by DeLong also takes the whole curves' errors.
# Expected: an interval of the partial area, as var by the bootstrap hands both on, or an error, as pROC has for DeLong.
# Seen: "specificity 0.9 to 1: 0.060, DeLong -0.018 to 0.138, bootstrap 0.044 to 0.077; standardised: 0.789, bootstrap
# 0.044 to 0.077; sensitivity 0.9 to 1: 0.035, bootstrap 0.044 to 0.077"
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
from pauc.stats import ci_auc

random = np.random.default_rng(0)
ill = np.repeat([0, 1], 40)
marker = random.normal(size=80) + 1.2 * ill


def partial(**options):
    """Return the area between 0.9 and 1, and its interval by DeLong and by the bootstrap."""
    np.random.seed(0)
    curve = ROC(ill, marker, partial_auc=(0.9, 1), **options)
    return curve.auc, ci_auc(curve), ci_auc(curve, method="bootstrap", n_boot=1000)


plain, standard, sensitive = partial(), partial(standardize_pauc=True), partial(partial_auc_focus="sensitivity")
word = "{0[0]:.3f} to {0[1]:.3f}"
print(
    f"specificity 0.9 to 1: {plain[0]:.3f}, DeLong {word.format(plain[1])}, bootstrap {word.format(plain[2])}; "
    f"standardised: {standard[0]:.3f}, bootstrap {word.format(standard[2])}; sensitivity 0.9 to 1: {sensitive[0]:.3f}, "
    f"bootstrap {word.format(sensitive[2])}"
)
beyond = plain[1][0] < 0 and plain[1][1] > 0.1
sys.exit(not (beyond and standard[0] > 5 * standard[2][1] and sensitive[0] < sensitive[2][0]))
PYTHON
