#!/usr/bin/env bash
# causalmatch 0.0.7, scikit-learn 1.5.2, statsmodels 0.14.4, scipy 1.13.1, pandas 2.2.3, matplotlib 3.9.4, tqdm 4.67.1,
# numpy 1.26.4.
# Behaviour: patients are found by the labels of their rows, and these are then taken for places. In a table that was
# shuffled, or of which rows were taken out, the treated and their matches are other patients, most of them untreated,
# without a word; the effect is the crude one.
# Expected: the same effect for the same patients in any order.
# Seen: "effect of a treatment 0.50; crude -0.63; matched 0.51, of the table shuffled -0.63, where 24% of the treated
# were treated"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.5.2 statsmodels==0.14.4 scipy==1.13.1 \
    pandas==2.2.3 matplotlib==3.9.4 tqdm==4.67.1 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps causalmatch==0.0.7
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from causalmatch import matching
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
frailty = random.normal(size=4000)
treated = (random.random(4000) < 1 / (1 + np.exp(1.5 - 1.5 * frailty))).astype(int)  # the frail more often
years = 5 - frailty + 0.5 * treated + 0.5 * random.normal(size=4000)
patients = pd.DataFrame({"patient": range(4000), "frailty": frailty, "treated": treated, "years": years})


def effect(table):
    """Return the effect among the matched, and the share of the treated who were treated."""
    pairs = matching(data=table.copy(), y=["years"], T="treated", X=["frailty"], id="patient")
    pairs.psm(n_neighbors=1, model=LogisticRegression(C=1e6), trim_percentage=0, caliper=0.05)
    return float(pairs.ate()["ate"].iloc[0]), float(pairs.df_out_final["treated_treat"].mean())


crude = years[treated == 1].mean() - years[treated == 0].mean()
plain, _ = effect(patients)
shuffled, share = effect(patients.sample(frac=1, random_state=0))
print(
    f"effect of a treatment 0.50; crude {crude:.2f}; matched {plain:.2f}, of the table shuffled {shuffled:.2f}, where "
    f"{share:.0%} of the treated were treated"
)
sys.exit(not (abs(plain - 0.5) < 0.05 and shuffled < -0.4 and share < 0.4))
PYTHON
