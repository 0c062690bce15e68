#!/usr/bin/env bash
# umbra-k 0.1.0, scikit-learn 1.5.2, scipy 1.13.1, pandas 2.2.3, numpy 1.26.4.
# Behaviour: groups are written by the labels of their rows. In a table that was put together of two hospitals, whose
# rows are both numbered from 0, each label is two patients, and a group overwrites those of others: what is left of
# them is smaller than k.
# Expected: groups of k patients or more, by the rows' places, or an error.
# Seen: "10-anonymity of 400 patients: smallest group 12 where rows are numbered once, 4 where they are numbered by
# hospital; 46 patients are in groups of fewer than 10"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check umbra-k==0.1.0 scikit-learn==1.5.2 scipy==1.13.1 \
    pandas==2.2.3 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from umbra_k import MondrianAnonymizer

random = np.random.default_rng(0)
hospitals = [
    pd.DataFrame({"age": random.integers(20, 90, 200), "postcode": random.integers(1000, 9999, 200)}) for _ in range(2)
]
sizes = []
for ignore_index in (True, False):
    table = pd.concat(hospitals, ignore_index=ignore_index)
    released = MondrianAnonymizer(k=10, quasi_id=["age", "postcode"]).fit_transform(table)
    assert len(released) == 400
    sizes.append(released.groupby(["age", "postcode"]).size())
once, twice = sizes
print(
    f"10-anonymity of 400 patients: smallest group {once.min()} where rows are numbered once, {twice.min()} where they "
    f"are numbered by hospital; {twice[twice < 10].sum()} patients are in groups of fewer than 10"
)
sys.exit(not (once.min() >= 10 and twice.min() < 5))
PYTHON
