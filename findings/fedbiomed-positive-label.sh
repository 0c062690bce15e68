#!/usr/bin/env bash
# fedbiomed 6.4.1, scikit-learn 1.9.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: without pos_label, recall, precision and F1 of two classes are those of the smallest label that a
# hospital's validation set holds, the healthy where they are 0 and the ill 1: a model that finds nobody has a recall of
# 1 and an F1 of 0.95 where one patient in ten is ill, and one that finds half of the ill 1 and 0.97. At a hospital with
# ill patients alone they are those of the ill, so that hospitals report other measures under one name. The comment in
# the code says "alphabetically select first label", the reference above it that pos_label defaults to 1, as it does in
# scikit-learn, whose functions the reference names as the source.
# Expected: the recall of label 1, as scikit-learn gives.
# Seen: "recall and F1 (scikit-learn's): nobody found 1.00 and 0.95 (0.00 and 0.00); half found 1.00 and 0.97 (0.50 and
# 0.67); ill alone 0.50 and 0.67 (0.50 and 0.67)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 pandas==2.3.3 numpy==2.4.6 \
    psutil==7.1.3 packaging==25.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps fedbiomed==6.4.1
cd "$place"
HOME="$place" "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from fedbiomed.common.metrics import Metrics, MetricTypes
from sklearn.metrics import f1_score, recall_score

truth = np.repeat([0, 1], (90, 10))  # ten of a hundred are ill
nobody, half = np.zeros(100, int), np.repeat([0, 1], (95, 5))


def both(truth, answer):
    """Return recall and F1 in Fed-BioMed and in scikit-learn."""
    kinds = (MetricTypes.RECALL, MetricTypes.F1_SCORE)
    found = [float(Metrics().evaluate(truth, answer, kind)) for kind in kinds]
    return found, [float(of(truth, answer, zero_division=0)) for of in (recall_score, f1_score)]


rows = {"nobody found": both(truth, nobody), "half found": both(truth, half), "ill alone": both(truth[90:], half[90:])}
print(
    "recall and F1 (scikit-learn's): "
    + "; ".join(
        f"{name} {found[0]:.2f} and {found[1]:.2f} ({right[0]:.2f} and {right[1]:.2f})"
        for name, (found, right) in rows.items()
    )
)
none, some, alone = rows.values()
asked = float(Metrics().evaluate(truth, nobody, MetricTypes.RECALL, pos_label=1))
sys.exit(not (none[0][0] == 1 and none[1][0] == 0 and some[0][0] == 1 and alone[0] == alone[1] and asked == 0))
PYTHON
