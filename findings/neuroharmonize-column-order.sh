#!/usr/bin/env bash
# neuroHarmonize 2.5.2, neuroCombat 0.2.12, statsmodels 0.15.0, pandas 2.3.3, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: harmonizationApply takes the covariates of a DataFrame by their place, not by their name: with the columns
# age and sex in another order than at training, the effect of a year is multiplied by the sex and that of the sex by
# the age. The model holds the names under `Covariates`, and nothing compares them. Where the column SITE stands does
# not matter.
# Expected: the columns found by name, or an error.
# Seen: "the training data harmonised again: as SITE, AGE, SEX off by 0.00, as AGE, SEX, SITE by 0.00, as SITE, SEX, AGE
# by 2.83, where values are 3.1 to 5.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check statsmodels==0.15.0 pandas==2.3.3 nibabel==5.4.2 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps neuroHarmonize==2.5.2 neuroCombat==0.2.12
"$place/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
import pandas as pd
from neuroHarmonize import harmonizationApply, harmonizationLearn

random = np.random.default_rng(0)
site, age, sex = np.repeat(["A", "B", "C"], 40), random.uniform(20, 80, 120), random.integers(0, 2, 120)
shift = np.repeat([0.0, 1.0, 2.0], 40)
thickness = (2 + 0.02 * age + 0.3 * sex + shift)[:, None] + random.normal(0, 0.2, (120, 6))
patients = pd.DataFrame({"SITE": site, "AGE": age, "SEX": sex})
off = {}
with contextlib.redirect_stdout(io.StringIO()):
    model, harmonised = harmonizationLearn(thickness, patients)
    for order in (["SITE", "AGE", "SEX"], ["AGE", "SEX", "SITE"], ["SITE", "SEX", "AGE"]):
        off[", ".join(order)] = float(abs(harmonizationApply(thickness, patients[order], model) - harmonised).max())
(first, right), (second, moved), (third, swapped) = off.items()
print(
    f"the training data harmonised again: as {first} off by {right:.2f}, as {second} by {moved:.2f}, as {third} by "
    f"{swapped:.2f}, where values are {harmonised.min():.1f} to {harmonised.max():.1f}"
)
sys.exit(not (right < 1e-9 and moved < 1e-9 and swapped > 1))
PYTHON
