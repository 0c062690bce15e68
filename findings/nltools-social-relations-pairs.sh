#!/usr/bin/env bash
# nltools 0.5.1, numpy 1.23.5.
# Behaviour: social_relations_model tells how far two people answer each other: the correlation of what one has for
# the other with what he has back. It sets the lower triangle of the matrix, row by row, beside the upper one, row by
# row, whose pairs are others from the third on: what 3 has for 2 is compared with what 1 has for 4. In a group of
# eight who answer each other exactly the correlation is about 0.1, and where each does the opposite 0. The variance
# between people is corrected by it, too.
# Expected: 1 and -1, as by the same effects that the function returns, pair by pair.
# Seen: "reciprocity of people who answer each other exactly: 0.06 (1.00); in part: 0.12 (0.80); by the opposite:
# -0.05 (-1.00)"
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
random = np.random.default_rng(0)
low = np.tril_indices(PEOPLE, -1)


def reciprocity(answer, groups=50):
    """Return the mean correlation of the function, and that of its own effects taken pair by pair."""
    found = []
    for _ in range(groups):
        first, other = np.triu(random.normal(size=(2, PEOPLE, PEOPLE)), 1)
        scores = 5 + random.normal(size=(PEOPLE, 1)) + random.normal(size=PEOPLE)
        scores += first + (answer * first + np.sqrt(1 - answer**2) * other).T
        np.fill_diagonal(scores, np.nan)
        result = Adjacency(scores, matrix_type="directed").social_relations_model(summarize_results=False)
        effect = np.array(result["relationship_effect"], dtype=float)
        found.append((result["dyadic_reciprocity_correlation"], np.corrcoef(effect[low], effect.T[low])[0, 1]))
    seen, right = np.mean(found, 0)
    return f"{seen:.2f} ({right:.2f})"


line = (
    f"reciprocity of people who answer each other exactly: {reciprocity(1)}; in part: {reciprocity(0.8)}; by the "
    f"opposite: {reciprocity(-1)}"
)
print(line)
expected = (
    "reciprocity of people who answer each other exactly: 0.06 (1.00); in part: 0.12 (0.80); by the opposite: -0.05 "
    "(-1.00)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
