#!/usr/bin/env bash
# nltools 0.5.1, numpy 1.23.5.
# Behaviour: social_relations_model takes a square matrix of what each person has for each other and sets its
# diagonal, where nobody stands, to missing before it takes the means of rows and columns. The mean of all is taken
# before, with the diagonal in it: with zeros there, as most matrices have, it is 17.5 for 20 in a group of eight. The
# effects of all people are then too high, and the covariance of giving and getting, which has nothing to do with the
# unit's zero, is 9.8 where it is 0.
# Expected: a mean of 20 and a covariance of 0, as with NaN in the diagonal.
# Seen: "mean of all and covariance of giving and getting, scores of 20 with NaN in the diagonal: 20.0, 0.0; with 0:
# 17.5, 9.8; scores of 5 with 0: 4.4, 0.7"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.data import Adjacency

PEOPLE = 8


def found(mean, diagonal, groups=100):
    """Return mean of all and covariance of giving and getting, averaged over groups where they are independent."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(groups):
        scores = mean + random.normal(size=(PEOPLE, 1)) + random.normal(size=PEOPLE)
        scores += random.normal(size=(PEOPLE, PEOPLE))
        np.fill_diagonal(scores, diagonal)
        result = Adjacency(scores, matrix_type="directed").social_relations_model(summarize_results=False)
        values.append((result["grand_mean"], result["actor_partner_covariance"]))
    overall, together = np.mean(values, 0)
    return f"{overall:.1f}, {abs(together):.1f}"


line = (
    f"mean of all and covariance of giving and getting, scores of 20 with NaN in the diagonal: {found(20, np.nan)}; "
    f"with 0: {found(20, 0)}; scores of 5 with 0: {found(5, 0)}"
)
print(line)
expected = (
    "mean of all and covariance of giving and getting, scores of 20 with NaN in the diagonal: 20.0, 0.0; with 0: "
    "17.5, 9.8; scores of 5 with 0: 4.4, 0.7"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
