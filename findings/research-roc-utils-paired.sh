#!/usr/bin/env bash
# research-roc-utils 0.1.1, scikits.bootstrap 1.1.0, scipy 1.17.1, scikit-learn 1.9.1, pandas 2.3.3, matplotlib 3.11.2,
# numpy 2.4.6.
# Behaviour: roc_z_score leaves out the division by the numbers of the ill and the healthy in the variance of an AUC,
# and roc_t_stat takes it out of the root; both then use variances for standard errors in the covariance. z of a clear
# difference is near 0, falls as patients are added, and is NaN for 2000; t grows with their number, not its root.
# Expected: the z of Hanley and McNeil (Radiology 1983), with the areas' standard errors (Radiology 1982), near that of
# DeLong's test.
# Seen: "two models of AUC 0.92 and 0.57: Hanley and McNeil 4.6, 9.5, 24.9 for 100, 400, 2000 patients; roc_z_score
# 0.10, 0.06, nan; roc_t_stat 7.1, 20.1, 80.4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check research-roc-utils==0.1.1 scikits.bootstrap==1.1.0 \
    scipy==1.17.1 scikit-learn==1.9.1 pandas==2.3.3 matplotlib==3.11.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np

matplotlib.use("agg")
import research_roc_utils.roc_utils as library
from scipy.stats import kendalltau
from sklearn.metrics import roc_auc_score


def standard_error(area, ill, healthy):
    """Return the standard error of an AUC (Hanley and McNeil 1982)."""
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (ill - 1) * (first - area**2) + (healthy - 1) * (second - area**2)
    return (spread / (ill * healthy)) ** 0.5


counts = (100, 400, 2000)
right, zs, ts, areas = [], [], [], []
for count in counts:
    random = np.random.default_rng(1)
    ill = (random.random(count) < 0.5).astype(int)
    models = random.normal(size=count) + 2 * ill, random.normal(size=count) + 0.3 * ill
    areas = [roc_auc_score(ill, model) for model in models]
    errors = [standard_error(area, ill.sum(), count - ill.sum()) for area in areas]
    r = library.find_r_val(library.avg_corr_fun(ill, *models, kendalltau), np.mean(areas))
    right.append((areas[0] - areas[1]) / (errors[0] ** 2 + errors[1] ** 2 - 2 * r * errors[0] * errors[1]) ** 0.5)
    zs.append(library.roc_z_score(ill, *models, kendalltau))
    ts.append(library.roc_t_stat(ill, *models, kendalltau))
print(
    f"two models of AUC {areas[0]:.2f} and {areas[1]:.2f}: Hanley and McNeil {', '.join(f'{z:.1f}' for z in right)} for "
    f"{', '.join(map(str, counts))} patients; roc_z_score {', '.join(f'{z:.2f}' for z in zs)}; roc_t_stat "
    + ", ".join(f"{t:.1f}" for t in ts)
)
sys.exit(not (min(right) > 4 and max(zs[:2]) < 0.2 and np.isnan(zs[2]) and ts[2] > 2 * right[2]))
PYTHON
