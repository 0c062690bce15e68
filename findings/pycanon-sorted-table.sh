#!/usr/bin/env bash
# pycanon 1.3.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: groups of patients are found by the labels of their rows, and looked up by the places of rows. In a table
# that was sorted, shuffled or joined, and keeps its labels, l-diversity, (alpha, k)-anonymity and t-closeness are those
# of groups of other patients: one in which all have the same diagnosis is not seen. k-anonymity is right. After
# reset_index the answers are right; a table of which rows were dropped raises an IndexError, or not.
# Expected: the same answers, however rows are ordered.
# Seen: "all patients of 30 have HIV: l 1, alpha 1.00, t 0.54; the same table shuffled: l 3, alpha 0.56, t 0.18; and
# renumbered: l 1, alpha 1.00, t 0.54"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pycanon==1.3.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from pycanon import anonymity

random = np.random.default_rng(0)
others = random.choice(["HIV", "flu", "cold"], 75)
patients = pd.DataFrame({"age": np.repeat([30, 40, 50, 60], 25), "diagnosis": ["HIV"] * 25 + list(others)})


def measures(table):
    columns = table, ["age"], ["diagnosis"]
    alpha = anonymity.alpha_k_anonymity(*columns)[0]
    return anonymity.l_diversity(*columns), round(float(alpha), 2), round(float(anonymity.t_closeness(*columns)), 2)


shuffled = patients.sample(frac=1, random_state=0)
seen = [measures(table) for table in (patients, shuffled, shuffled.reset_index(drop=True))]
words = [f"l {diversity}, alpha {alpha:.2f}, t {t:.2f}" for diversity, alpha, t in seen]
print(f"all patients of 30 have HIV: {words[0]}; the same table shuffled: {words[1]}; and renumbered: {words[2]}")
sys.exit(not (seen[0] == seen[2] and seen[0][:2] == (1, 1) and seen[1][0] == 3 and seen[1][2] < seen[0][2] / 2))
PYTHON
