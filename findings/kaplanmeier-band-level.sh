#!/usr/bin/env bash
# kaplanmeier 0.2.0, lifelines 0.30.3, matplotlib 3.10.9, numpy 2.2.6.
# Behaviour: plot() hands `cii_alpha`, 0.05 by default, to lifelines as 1 - 0.05, which lifelines takes for the share
# that lies outside. The band around each survival curve is one of 5 %, a thirtieth as wide. The numbers in the legend,
# 48/100, are those who were censored, of a hundred.
# Expected: the band of 95 % that lifelines draws of the same patients.
# Seen: "survival of 100 patients after 3 years: band from 0.614 to 0.620, of 95 % by lifelines from 0.508 to 0.709;
# legend 0 (48/100), where 52 died"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check kaplanmeier==0.2.0 lifelines==0.30.3 \
    matplotlib==3.10.9 seaborn==0.13.2 pandas==2.3.3 scipy==1.15.3 numpy==2.2.6
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import kaplanmeier
import numpy as np
from lifelines import KaplanMeierFitter

random = np.random.default_rng(0)
death, end = random.exponential(5, 200), random.uniform(0, 10, 200)
years, died, group = np.minimum(death, end), (death <= end).astype(int), np.repeat([0, 1], 100)
_figure, axes = kaplanmeier.plot(kaplanmeier.fit(years, died, group), visible=False)
edge = axes.collections[0].get_paths()[0].vertices
drawn = edge[edge[:, 0] == edge[edge[:, 0] <= 3, 0].max(), 1]
low, high = np.unique(drawn.round(6))[:2]  # the curve falls here: the lower two are those after the step
fitted = KaplanMeierFitter().fit(years[:100], died[:100])
lower, upper = fitted.confidence_interval_.loc[:3].iloc[-1]
legend = axes.get_legend().get_texts()[0].get_text()
print(
    f"survival of 100 patients after 3 years: band from {low:.3f} to {high:.3f}, of 95% by lifelines from {lower:.3f} "
    f"to {upper:.3f}; legend {legend}, where {died[:100].sum()} died"
)
sys.exit(0 if high - low < 0.15 * (upper - lower) and "(48/100)" in legend else "this has changed")
PYTHON
