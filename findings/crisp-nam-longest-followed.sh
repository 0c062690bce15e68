#!/usr/bin/env bash
# crisp-nam 0.2.0, lifelines 0.30.3, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: auc_td at a time weighs each patient who is still followed then by the inverse chance of being followed to
# the end of his own follow-up, years later. For the one who was followed longest that chance is 0, cut to 1e-10: he
# weighs more than all others together, and the AUC is the share of the ill whose risk is above his.
# Expected: the chance at the time asked for, the same for all of them, which leaves the comparison unweighted (Uno et
# al., JASA 2007; Hung and Chiang, 2010), as scikit-survival has it.
# Seen: "AUC of the same risks at three years, for six ways in which follow-up ends: 0.96, 0.88, 0.82, 0.96, 0.99, 0.66;
# right 0.86, 0.83, 0.83, 0.84, 0.84, 0.85; the share of the ill with a higher risk than the patient followed longest
# 0.96, 0.88, 0.82, 0.96, 0.99, 0.66"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.30.3 scipy==1.17.1 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps crisp-nam==0.2.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from crisp_nam.metrics.discrimination import auc_td
from lifelines import KaplanMeierFitter

random = np.random.default_rng(0)
risk = random.normal(size=300)
until = random.exponential(5 * np.exp(-risk))  # years to the event
risks, grid = np.repeat(risk[:, None], 3, axis=1), np.array([1.0, 3.0, 5.0])  # (patients, times)
found, right, above = [], [], []
for seed in range(6):
    censored = np.random.default_rng(seed).uniform(1, 12, 300)
    years, event = np.minimum(until, censored), (until <= censored).astype(int)
    found.append(float(auc_td(event, years, risks, grid, 3.0, km=(event, years))[0]))
    followed = KaplanMeierFitter().fit(years, event == 0)
    ill, well = (event == 1) & (years <= 3), years > 3
    weights = 1 / followed.predict(years[ill]).to_numpy()
    right.append(float(weights @ (risk[ill][:, None] > risk[well]).mean(axis=1) / weights.sum()))
    above.append(float(weights @ (risk[ill] > risk[np.argmax(years)]) / weights.sum()))


def listed(values):
    return ", ".join(f"{value:.2f}" for value in values)


print(
    f"AUC of the same risks at three years, for six ways in which follow-up ends: {listed(found)}; right "
    f"{listed(right)}; the share of the ill with a higher risk than the patient followed longest {listed(above)}"
)
sys.exit(not (np.ptp(found) > 0.3 and np.ptp(right) < 0.05 and np.allclose(found, above, atol=0.01)))
PYTHON
