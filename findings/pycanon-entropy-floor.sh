#!/usr/bin/env bash
# pycanon 1.3.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: entropy l-diversity is the exponential of the entropy, cut off to a whole number. For a group in which all
# diagnoses are equally common that is their number, less a rounding error for two of three numbers: a group of two is
# 1-diverse, as if all had the same diagnosis.
# Expected: the number of diagnoses (Machanavajjhala et al., TKDD 2007).
# Seen: "entropy l-diversity of 2, 3, 4, 5, 6, 7, 8, 9, 10 equally common diagnoses: 1, 2, 3, 5, 5, 6, 7, 9, 9"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pycanon==1.3.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from pycanon.anonymity import entropy_l_diversity, l_diversity

seen = {}
for number in range(2, 11):
    table = pd.DataFrame({"age": 30, "diagnosis": [f"diagnosis {index}" for index in range(number)] * 3})
    seen[number] = entropy_l_diversity(table, ["age"], ["diagnosis"])
    assert l_diversity(table, ["age"], ["diagnosis"]) == number
print(f"entropy l-diversity of {', '.join(map(str, seen))} equally common diagnoses: {', '.join(map(str, seen.values()))}")
sys.exit(not (seen[2] == 1 and seen[3] == 2 and sum(seen[number] < number for number in seen) >= 5))
PYTHON
