#!/usr/bin/env bash
# fairlearn 0.15.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: of a group of patients none of whom has the disease, the true positive rate is 0 and counts: a classifier that
# makes no error has the worst equalized odds difference there is, 1, and an equal opportunity difference of 1. Adding one
# patient of that group who has the disease, and is found, makes both 0. The false positive rate of a group in which all
# have the disease is 0 and counts, too. Nothing warns.
# Expected: NaN, or the group left out, or a warning as scikit-learn's recall_score gives.
# Seen: "no error, one group of two healthy: equalized odds difference 1, ratio 0, equal opportunity 1; with one patient who
# is ill 0, 1, 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check fairlearn==0.15.0 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W error::UserWarning - <<'PYTHON'
import sys

import numpy as np
from fairlearn.metrics import equal_opportunity_difference, equalized_odds_difference, equalized_odds_ratio


def judged(ill, group):
    """Return what is said of a classifier that decides as it is."""
    measures = equalized_odds_difference, equalized_odds_ratio, equal_opportunity_difference
    return [float(measure(ill, ill, sensitive_features=group)) for measure in measures]


ill = np.array([1, 1, 0, 0, 0, 0, 0, 0])
group = np.array(list("aaaabbbb"))
healthy, mixed = judged(ill, group), judged(np.append(ill, 1), np.append(group, "b"))
print(
    f"no error, one group of two healthy: equalized odds difference {healthy[0]:g}, ratio {healthy[1]:g}, equal "
    f"opportunity {healthy[2]:g}; with one patient who is ill {', '.join(f'{it:g}' for it in mixed)}"
)
sys.exit(not (healthy == [1, 0, 1] and mixed == [0, 1, 0]))
PYTHON
