#!/usr/bin/env bash
# cem 1.1.0, pandas 2.3.3, numpy 1.26.4.
# Behaviour: each difference is squared and its root is taken before the sum, so that the L2 imbalance is the L1
# imbalance, always; coarsening by "l2" is coarsening by "l1". What is most unlike by L1 is not by L2.
# Expected: half the root of the sum of squares (Iacus, King and Porro, Political Analysis 2012, whom the package
# names).
# Seen: "L1 0.40 and L2 0.40 where one group of age differs, 0.50 and 0.50 where a hundred differ a little; L2 by its
# definition 0.28 and 0.05"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check cem==1.1.0 pandas==2.3.3 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from cem.imbalance import L1, L2


def table(treated, untreated):
    """Return patients, by the number of each group of age with and without a treatment."""
    ages = [age for counts in (treated, untreated) for age, count in enumerate(counts) for _ in range(count)]
    return pd.DataFrame({"age": ages, "treated": [1] * sum(treated) + [0] * sum(untreated)})


def right(treated, untreated):
    """Return the L2 imbalance by its definition."""
    shares = [np.array(counts) / sum(counts) for counts in (treated, untreated)]
    return np.sqrt(np.sum((shares[0] - shares[1]) ** 2)) / 2


one = ([90, 10], [50, 50])
many = ([30, 10] * 50, [10, 30] * 50)
seen = [(float(L1(table(*counts), "treated")), float(L2(table(*counts), "treated"))) for counts in (one, many)]
print(
    f"L1 {seen[0][0]:.2f} and L2 {seen[0][1]:.2f} where one group of age differs, {seen[1][0]:.2f} and "
    f"{seen[1][1]:.2f} where a hundred differ a little; L2 by its definition {right(*one):.2f} and {right(*many):.2f}"
)
sys.exit(not (all(np.isclose(*pair) for pair in seen) and right(*many) < 0.1))
PYTHON
