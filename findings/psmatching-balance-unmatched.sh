#!/usr/bin/env bash
# psmatching 0.1.dev21, statsmodels 0.14.4, scipy 1.13.1, pandas 2.2.3, numpy 1.26.4.
# Behaviour: evaluate() is to tell whether cases and their matched controls are alike, and tests all patients instead of
# the matched ones: its p-value is the one from before matching. The file of matched data holds all patients, too, and
# not their numbers.
# Expected: the p-value of the 600 matched patients, and these in the file.
# Seen: "share of smokers 67% of cases, 33% of controls, 67% of matched controls; evaluate says FAILED; p-value before
# 0.000, of the matched 1.000; patients in the file of matched data 3300 of 600"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check psmatching==0.1.dev21 statsmodels==0.14.4 \
    scipy==1.13.1 pandas==2.2.3 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON' | tail -n 1
import contextlib
import io
import sys

import numpy as np
import pandas as pd
from psmatching.match import PSMatch
from scipy.stats import chi2_contingency

np.random.seed(0)
case = np.repeat([1, 0], [300, 3000])
smoker = np.concatenate([np.repeat([1, 0], [200, 100]), np.repeat([1, 0], [1000, 2000])])
pd.DataFrame({"OPTUM_LAB_ID": range(3300), "CASE": case, "SMOKER": smoker}).to_csv("patients.csv", index=False)
matching = PSMatch("patients.csv", "CASE ~ SMOKER", 1)
said = io.StringIO()
with contextlib.redirect_stdout(said):
    matching.prepare_data()
    matching.match()
    passed = matching.evaluate()
matched = matching.matched_data
inside = chi2_contingency(pd.crosstab(matched.CASE, matched.SMOKER))[1]
before = chi2_contingency(pd.crosstab(case, smoker))[1]
written = len(pd.read_csv("patients_matched_ps.csv"))
share = matched.groupby("CASE").SMOKER.mean()
print(
    f"share of smokers {share[1]:.0%} of cases, {smoker[300:].mean():.0%} of controls, {share[0]:.0%} of matched "
    f"controls; evaluate says {'PASSED' if passed else 'FAILED'}; p-value before {before:.3f}, of the matched "
    f"{inside:.3f}; patients in the file of matched data {written} of {len(matched)}"
)
sys.exit(not ("SMOKER: FAILED" in said.getvalue() and not passed and inside > 0.9 and written == 3300))
PYTHON
