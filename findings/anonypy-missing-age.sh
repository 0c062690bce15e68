#!/usr/bin/env bash
# anonypy 0.2.1, pandas 2.3.3, matplotlib 3.11.2, numpy 2.0.2.
# Behaviour: Mondrian divides a group into those below its median and those at or above it. A patient without a value is
# in neither half: each division by age leaves out those whose age is missing, and nothing is said. As a category the
# same patients stay. Which patients are lost depends on the data: in a group that is not divided they are kept.
# Expected: all patients in the table that is released, or an error.
# Seen: "200 patients, 30 of them without an age: 170 are released; 200 with a category for the age"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check anonypy==0.2.1 pandas==2.3.3 matplotlib==3.11.2 \
    numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")
from anonypy import Preserver

random = np.random.default_rng(0)
age = random.integers(20, 90, 200).astype(float)
age[random.permutation(200)[:30]] = np.nan
decade = pd.Series(age // 10).map(lambda value: "unknown" if np.isnan(value) else f"{value:.0f}0s").astype("category")
patients = pd.DataFrame({"age": age, "decade": decade, "ill": pd.Categorical(random.choice(["yes", "no"], 200))})


def released(column):
    return int(pd.DataFrame(Preserver(patients, [column], "ill").anonymize_k_anonymity(k=3))["count"].sum())


numbers, categories = released("age"), released("decade")
print(
    f"200 patients, {int(np.isnan(age).sum())} of them without an age: {numbers} are released; {categories} with a "
    "category for the age"
)
sys.exit(not (numbers == 170 and categories == 200))
PYTHON
