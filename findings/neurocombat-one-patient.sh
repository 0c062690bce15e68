#!/usr/bin/env bash
# neuroCombat 0.2.12, pandas 2.3.3, numpy 2.4.6.
# Behaviour: a hospital with one patient makes every value of every hospital NaN: its variance has no degrees of freedom,
# and the empirical Bayes estimate that is drawn from all hospitals takes it up. What is told is NumPy's division by zero.
# A measure that is the same in all patients is spread out: 2.5 becomes 2.43 to 2.63.
# Expected: the hospital left alone or refused by name, and the others harmonised; 2.5 for the measure.
# Seen: "values that are NaN where the third hospital has two patients: 0 of 105, where it has one: 100 of 100; a region of
# 2.5 everywhere becomes 2.43 to 2.63"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check neuroCombat==0.2.12 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
import pandas as pd
from neuroCombat import neuroCombat

thickness = np.random.default_rng(0).normal(2.5, 0.3, (5, 21))  # mm: regions, patients


def harmonised(values, hospitals):
    with contextlib.redirect_stdout(io.StringIO()):
        made = neuroCombat(dat=values, covars=pd.DataFrame({"hospital": hospitals}), batch_col="hospital")["data"]
    return made


hospitals = [1] * 10 + [2] * 9 + [3] * 2
two = harmonised(thickness, hospitals)
one = harmonised(thickness[:, :20], hospitals[:20])
thickness[0] = 2.5
even = harmonised(thickness, hospitals)[0]
print(
    f"values that are NaN where the third hospital has two patients: {np.isnan(two).sum()} of {two.size}, where it has "
    f"one: {np.isnan(one).sum()} of {one.size}; a region of 2.5 everywhere becomes {even.min():.2f} to {even.max():.2f}"
)
sys.exit(not (np.isfinite(two).all() and np.isnan(one).all() and abs(even - 2.5).max() > 0.001))
PYTHON
