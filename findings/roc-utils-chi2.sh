#!/usr/bin/env bash
# roc-utils 0.2.2, scikit-learn 1.5.2, scipy 1.10.1, pandas 2.2.3, matplotlib 3.9.4, numpy 1.26.4.
# Behaviour: the objective chi2 of compute_roc, which is to find the cut-off with the largest chi-square statistic, has
# three factors of the denominator as factors of the numerator: they stand behind a division without brackets. It
# prefers cut-offs that call few people ill, the more so the more are ill. The formula in the docstring is the right
# one.
# Expected: the cut-off with the largest chi-square (Miller and Siegmund, Biometrics 1982).
# Seen: "of 400 patients, 257 of them ill: chi2 finds 0.49 of them (chi-square 80.6), the largest chi-square 0.82
# (115.9)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check roc-utils==0.2.2 scikit-learn==1.5.2 scipy==1.10.1 \
    pandas==2.2.3 matplotlib==3.9.4 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np

matplotlib.use("agg")
from roc_utils import compute_roc
from scipy.stats import chi2_contingency

random = np.random.default_rng(0)
ill = random.random(400) < 0.7
marker = random.normal(size=400) + 1.5 * ill


def chi_square(cut):
    """Return the statistic of the table of being above the cut-off and being ill."""
    above = marker > cut
    table = np.array([[(above & ill).sum(), (above & ~ill).sum()], [(~above & ill).sum(), (~above & ~ill).sum()]])
    return float(chi2_contingency(table, correction=False)[0]) if table.sum(axis=1).all() else 0.0


def found(cut):
    return (marker > cut)[ill].mean()


theirs = compute_roc(marker, ill, pos_label=True, objective="chi2").opd["chi2"].opt
best = max(marker, key=chi_square)
print(
    f"of 400 patients, {ill.sum()} of them ill: chi2 finds {found(theirs):.2f} of them (chi-square "
    f"{chi_square(theirs):.1f}), the largest chi-square {found(best):.2f} ({chi_square(best):.1f})"
)
sys.exit(not (chi_square(best) > 1.3 * chi_square(theirs) and found(best) > 1.5 * found(theirs)))
PYTHON
