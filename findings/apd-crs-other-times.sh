#!/usr/bin/env bash
# apd-crs 0.1.0, scikit-survival 0.23.1, autograd 1.7.0, scikit-learn 1.5.2, scipy 1.13.1, pandas 2.2.3, numpy 1.26.4.
# Behaviour: the likelihood goes through the patients with an event and those without, each numbered from 0, and takes
# the times and chances of cure by that number from the list of all patients: most are fitted to another patient's time.
# The effect of a marker depends on the order of the rows. Scale and shape are stored under each other's name, too.
# Expected: the same effect and concordance for the same patients in any order.
# Seen: "effect of a marker 1.00: 0.96, with the rows in order of time -0.96; concordance index 0.67 and 0.33; alive
# after 1 and 3 years 63% and 63%, where 79% and 41% are"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-survival==0.23.1 autograd==1.7.0 \
    scikit-learn==1.5.2 scipy==1.13.1 pandas==2.2.3 tqdm==4.67.1 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps apd-crs==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from apd_crs.survival_analysis import SurvivalAnalysis

random = np.random.default_rng(0)
marker = random.normal(size=(300, 1))
cured = random.random(300) < 0.3
times = 2 * (random.exponential(size=300) / np.exp(marker[:, 0])) ** (1 / 1.5)  # years
left = random.uniform(0, 8, 300)
event = ~cured & (times <= left)
times = np.where(event, times, left)


def fitted(order):
    """Return the effect of the marker, the concordance index, and who of a marker of 0 lives after 1 and 3 years."""
    model = SurvivalAnalysis(random_state=0)
    labels = np.where(event, model.get_non_cure_label(), model.get_censor_label())
    model.survival_fit(marker[order], labels[order], times[order], surv_reg_term=0.0)
    alive = model.predict_overall_survival(np.zeros((1, 1)), [[1.0, 3.0]])[0]
    return float(model.gamma_[0]), float(model.cindex(times, labels, model.predict_danger(marker))), alive


first, second = fitted(np.arange(300)), fitted(np.argsort(times))
true = 0.3 + 0.7 * np.exp(-((np.array([1, 3]) / 2) ** 1.5))
print(
    f"effect of a marker 1.00: {first[0]:.2f}, with the rows in order of time {second[0]:.2f}; concordance index "
    f"{first[1]:.2f} and {second[1]:.2f}; alive after 1 and 3 years {first[2][0]:.0%} and {first[2][1]:.0%}, where "
    f"{true[0]:.0%} and {true[1]:.0%} are"
)
sys.exit(not (second[0] < 0 < first[0] and second[1] < 0.5 < first[1] and first[2][0] - first[2][1] < 0.05))
PYTHON
