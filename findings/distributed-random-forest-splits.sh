#!/usr/bin/env bash
# distributed-random-forest 0.4.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, joblib 1.6.0, numpy 2.4.6.
# Behaviour: DPRandomForest says that it chooses splits by the exponential mechanism. Its trees are those of
# scikit-learn, grown on the data as they are; noise comes to the leaves alone, and the budget is said to be spent as
# asked for. Each split lies between the values of two patients: one who is older than all others is seen in the forest
# at any epsilon.
# Expected: at epsilon 0.01 nobody can tell from the forest whether he took part, but by chance.
# Seen: "at epsilon 0.01 a split beyond the age of all others is in 20 of 20 forests with a patient of 103 years, and in
# 0 of 20 without him; the forest says that it has spent 0.01"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 scipy==1.17.1 pandas==2.3.3 \
    joblib==1.6.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps distributed-random-forest==0.4.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from distributed_random_forest.models.dp_rf import DPRandomForest

random = np.random.default_rng(0)
features = np.column_stack([random.integers(40, 70, 300), random.normal(size=300)])  # (patients, age and a marker)
ill = (features[:, 1] + random.normal(size=300) > 1).astype(int)


def splits_beyond(features, ill):
    """Return in how many of 20 private forests there is a split at an age above 70, and what they say they spent."""
    count = 0
    for seed in range(20):
        forest = DPRandomForest(n_estimators=20, epsilon=0.01, random_state=1000 * seed, n_jobs=1).fit(features, ill)
        trees = [tree.tree_ for tree in forest._trees]
        count += any((tree.threshold[tree.feature == 0] > 70).any() for tree in trees)
    return count, forest.get_privacy_budget()


without, _ = splits_beyond(features, ill)
with_him, spent = splits_beyond(np.vstack([features, [103, 0]]), np.append(ill, 1))
print(
    f"at epsilon 0.01 a split beyond the age of all others is in {with_him} of 20 forests with a patient of 103 years, "
    f"and in {without} of 20 without him; the forest says that it has spent {spent}"
)
sys.exit(not (with_him >= 18 and without == 0 and spent == 0.01))
PYTHON
