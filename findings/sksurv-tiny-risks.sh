#!/usr/bin/env bash
# scikit-survival 0.28.0, lifelines 0.30.3, numpy 2.4.6.
# Behaviour: concordance_index_censored takes risks that differ by less than 1e-8 for tied (tied_tol, an absolute size),
# so that the index depends on the unit of a risk, though it is about ranks alone. A model that gives a risk of its
# event per second or per hour of exposure, or the chance of a rare event, has 0.5 where the same ranking in another
# unit has 0.9. lifelines gives 0.9 for both.
# Expected: an index of ranks does not change when all risks are multiplied by the same number.
# Seen: "the same ranking with risks up to 0.9, 9e-07 and 9e-10: scikit-survival 0.90, 0.90, 0.50; lifelines 0.90, 0.90,
# 0.90"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-survival==0.28.0 lifelines==0.30.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from lifelines.utils import concordance_index
from sksurv.metrics import concordance_index_censored

events, times = np.array([1, 1, 1, 1, 0], bool), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
risks = np.array([0.9, 0.7, 0.8, 0.3, 0.2])
scales = (1, 1e-6, 1e-9)
theirs = [round(float(concordance_index_censored(events, times, risks * scale)[0]), 2) for scale in scales]
others = [round(float(concordance_index(times, -risks * scale, events)), 2) for scale in scales]
print(
    f"the same ranking with risks up to 0.9, 9e-07 and 9e-10: scikit-survival {', '.join(f'{one:.2f}' for one in theirs)}; "
    f"lifelines {', '.join(f'{one:.2f}' for one in others)}"
)
sys.exit((theirs, others) != ([0.9, 0.9, 0.5], [0.9, 0.9, 0.9]))
PYTHON
