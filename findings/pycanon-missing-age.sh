#!/usr/bin/env bash
# pycanon 1.3.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: patients without a value in one of the columns that could identify them are left out of the groups: k is
# that of the others, and so are l and all other measures. One man whose age is missing stands in the released table as
# the only one without an age.
# Expected: a group of their own, as for any other value, or an error: the smallest group is of one (Sweeney 2002).
# Seen: "20 patients of 30 and 40 years and one without an age: k 10, l 2; the same with a word for the missing age: k
# 1, l 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pycanon==1.3.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from pycanon.anonymity import k_anonymity, l_diversity

patients = pd.DataFrame({"age": [30.0] * 10 + [40.0] * 10 + [np.nan], "diagnosis": ["flu", "cold"] * 10 + ["HIV"]})
named = patients.assign(age=patients["age"].map(str))  # "30.0", "40.0", "nan"
seen = [(int(k_anonymity(table, ["age"])), l_diversity(table, ["age"], ["diagnosis"])) for table in (patients, named)]
print(
    f"20 patients of 30 and 40 years and one without an age: k {seen[0][0]}, l {seen[0][1]}; the same with a word for the "
    f"missing age: k {seen[1][0]}, l {seen[1][1]}"
)
sys.exit(not (seen == [(10, 2), (1, 1)]))
PYTHON
