#!/usr/bin/env bash
# pycanon 1.3.6, pandas 2.3.3, numpy 2.0.2.
# Behaviour: recursive (c, l)-diversity bounds the commonest diagnosis of a group: r1 < c (rl + ... + rm), with counts
# from the largest to the smallest. The library sorts from the smallest to the largest: its c bounds the rarest. A group
# of 99 patients with HIV and one with flu is said to be (1, 2)-diverse, as an even group nearly is; it takes a c above
# 99.
# Expected: the smallest whole c for which the definition holds (Machanavajjhala et al., TKDD 2007).
# Seen: "c and l of groups of 99 and 1: 1 and 2, by the definition 100 and 2; of 50 and 50: 2 and 2, by the definition 2
# and 2; of 90, 5 and 5: 1 and 3, by the definition 19 and 3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pycanon==1.3.6 pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from pycanon.anonymity import recursive_c_l_diversity

theirs, right = [], []
for counts in ((99, 1), (50, 50), (90, 5, 5)):
    diagnoses = [name for name, count in zip(("HIV", "flu", "cold"), counts) for _ in range(count)]
    c, diversity = recursive_c_l_diversity(pd.DataFrame({"age": 30, "diagnosis": diagnoses}), ["age"], ["diagnosis"])
    theirs.append((int(c), diversity))
    ordered = sorted(counts, reverse=True)
    right.append((ordered[0] // sum(ordered[diversity - 1 :]) + 1, diversity))
words = [
    f"of {name}: {c} and {diversity}, by the definition {true} and {diversity}"
    for name, (c, diversity), (true, _) in zip(("groups of 99 and 1", "50 and 50", "90, 5 and 5"), theirs, right)
]
print("c and l " + "; ".join(words))
sys.exit(not (theirs == [(1, 2), (2, 2), (1, 3)] and right == [(100, 2), (2, 2), (19, 3)]))
PYTHON
