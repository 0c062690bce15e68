#!/usr/bin/env bash
# causalml 0.18.0, pandas 2.3.3, numpy 2.4.6.
# Behaviour: qini_score and auuc_score take patients of the same score one after another, as their rows stand: with
# treated patients first a model that says the same to everybody has a Qini score of 1.29, more than one that finds all
# who respond, and with them last -0.21. Scores of an uplift tree are equal in each of its leaves.
# Expected: The same score in whatever order rows stand, and about 0 for a model that says nothing.
# Seen: "shuffled: Qini of a tree that finds who responds 0.34, of the same for everybody 0.05, area of the tree 0.83;
# treated first: Qini of a tree that finds who responds 0.37, of the same for everybody 1.29, area of the tree 1.40;
# treated last: Qini of a tree that finds who responds 0.27, of the same for everybody -0.21, area of the tree 0.60"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check causalml==0.18.0 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from causalml.metrics import auuc_score, qini_score

generator = np.random.default_rng(0)
responds, treated = generator.random(4000) < 0.15, generator.integers(0, 2, 4000)
well = (generator.random(4000) < 0.3 + 0.4 * responds * treated).astype(int)
shuffled = pd.DataFrame({"well": well, "treated": treated, "tree": 0.4 * responds, "nothing": 0.1})
orders = {
    "shuffled": shuffled,
    "treated first": shuffled.sort_values("treated", ascending=False, kind="stable"),
    "treated last": shuffled.sort_values("treated", kind="stable"),
}
qini, area = (
    {name: score(rows, outcome_col="well", treatment_col="treated") for name, rows in orders.items()}
    for score in (qini_score, auuc_score)
)
print(
    "; ".join(
        f"{name}: Qini of a tree that finds who responds {qini[name]['tree']:.2f}, of the same for everybody "
        f"{qini[name]['nothing']:.2f}, area of the tree {area[name]['tree']:.2f}"
        for name in orders
    )
)
first, last = qini["treated first"], qini["treated last"]
sys.exit(not (first["nothing"] > 2 * first["tree"] > 0 > last["nothing"] and abs(qini["shuffled"]["nothing"]) < 0.1))
PYTHON
