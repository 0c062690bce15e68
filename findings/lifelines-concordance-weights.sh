#!/usr/bin/env bash
# lifelines 0.30.3, pandas 2.3.3, numpy 2.4.6.
# Behaviour: a Cox model with weights_col is fitted by the weights, and its concordance index, the one of the summary
# and that of score, counts every row once. The documentation says that a weight of 2 means two subjects with identical
# observations: written out as such, the same model of the same patients has another index.
# Expected: one concordance index for a weight of 10 and for ten rows.
# Seen: "coefficient by weights 0.75, by rows 0.75; concordance index by weights 0.56, by rows 0.71"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.30.3 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter

random = np.random.default_rng(0)
marker, sampled = random.normal(size=200), np.arange(200) < 50  # the marker works for those who stand for ten
years = random.exponential(5 * np.exp(-1.5 * marker * sampled))
patients = pd.DataFrame({"years": years, "died": 1, "marker": marker, "weight": np.where(sampled, 10, 1)})
rows = patients.loc[patients.index.repeat(patients["weight"])].reset_index(drop=True)
weighted = CoxPHFitter().fit(patients, "years", "died", weights_col="weight", formula="marker")
repeated = CoxPHFitter().fit(rows, "years", "died", formula="marker")
slope, other = (float(model.params_["marker"]) for model in (weighted, repeated))
print(
    f"coefficient by weights {slope:.2f}, by rows {other:.2f}; concordance index by weights "
    f"{weighted.concordance_index_:.2f}, by rows {repeated.concordance_index_:.2f}"
)
apart = repeated.concordance_index_ - weighted.concordance_index_
sys.exit(not (abs(slope - other) < 0.01 and apart > 0.1))
PYTHON
