#!/usr/bin/env bash
# xgbse 0.3.3, xgboost 2.1.4, lifelines 0.29.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, joblib 1.6.0, numpy
# 1.26.4.
# Behaviour: extrapolate_constant_risk goes on with a constant risk for each of its steps, which is that of the last
# interval of the curve, however long either is. In steps of half a year the risk of a year comes twice a year. And the
# risks are put to the curves by the number of the row: in a table that was sorted each patient gets that of another
# one.
# Expected: the same survival at the same time, whatever the step and the order of the rows.
# Seen: "survival of 0.9 a year for three years goes on to 0.53 in the sixth year in steps of a year, 0.39 of half a
# year, 0.21 of a quarter; true 0.53. Patients who survive a year by 0.9 and 0.5: 0.66 and 0.06 in the fourth year, 0.36
# and 0.11 where they are sorted by risk"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lifelines==0.29.0 scikit-learn==1.9.1 scipy==1.17.1 \
    pandas==2.3.3 joblib==1.6.0 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps xgbse==0.3.3 xgboost==2.1.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from xgbse.extrapolation import extrapolate_constant_risk

curve = pd.DataFrame([[0.9, 0.9**2, 0.9**3]], columns=[1.0, 2.0, 3.0])  # patients, years
year, half, quarter = (float(extrapolate_constant_risk(curve, 6.0, step)[6.0].iloc[0]) for step in (1.0, 0.5, 0.25))

two = pd.DataFrame([[0.9, 0.9**2, 0.9**3], [0.5, 0.5**2, 0.5**3]], columns=[1.0, 2.0, 3.0])
as_they_were = extrapolate_constant_risk(two, 4.0, 1.0)[4.0]
sorted_by_risk = extrapolate_constant_risk(two.sort_values(3.0), 4.0, 1.0)[4.0]
print(
    f"survival of 0.9 a year for three years goes on to {year:.2f} in the sixth year in steps of a year, {half:.2f} of "
    f"half a year, {quarter:.2f} of a quarter; true {0.9**6:.2f}. Patients who survive a year by 0.9 and 0.5: "
    f"{as_they_were[0]:.2f} and {as_they_were[1]:.2f} in the fourth year, {sorted_by_risk[0]:.2f} and "
    f"{sorted_by_risk[1]:.2f} where they are sorted by risk"
)
wrong = abs(year - 0.9**6) < 1e-9 and half < 0.4 and quarter < 0.25
sys.exit(not (wrong and abs(as_they_were[0] - 0.9**4) < 1e-9 and sorted_by_risk[0] < 0.5))
PYTHON
