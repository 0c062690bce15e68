#!/usr/bin/env bash
# nltools 0.5.1, scipy 1.15.3, numpy 1.23.5.
# Behaviour: procrustes_distance returns how far two sets of points are from each other after rotation and scaling, with
# a p-value by permutation. The distances of the permutations are taken from 1, and that of the data is not: two equal
# sets have p = 1, as any permutation is "at least as large" as 0, and two that have nothing to do with each other p =
# 0.001.
# Expected: the smallest p for equal sets, 0.001 after 999 permutations, and one from 0 to 1 for sets of nothing: the
# share of permutations whose distance by scipy is as small.
# Seen: "distance of two sets of points and its p, and p by scipy: turned and scaled 0.00, p 1.000 (0.001); alike 0.09,
# p 0.538 (0.001); of nothing 0.87, p 0.001 (0.275)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.stats import procrustes_distance
from scipy.spatial import procrustes

first, other = np.random.default_rng(0).normal(0, 1, (2, 20, 3))


def figures(second):
    """Return distance and p of nltools, and p by the distances of scipy."""
    found = procrustes_distance(first, second, n_permute=999, tail=1, n_jobs=1, random_state=0)
    random = np.random.default_rng(0)
    permuted = [procrustes(random.permutation(first), second)[2] for _ in range(999)]
    right = (np.sum(np.array(permuted) <= procrustes(first, second)[2]) + 1) / 1000
    return f"{found['similarity']:.2f}, p {found['p']:.3f} ({right:.3f})"


turned = first @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) * 3
line = (
    f"distance of two sets of points and its p, and p by scipy: turned and scaled {figures(turned)}; alike "
    f"{figures(first + 0.3 * other)}; of nothing {figures(other)}"
)
print(line)
expected = (
    "distance of two sets of points and its p, and p by scipy: turned and scaled 0.00, p 1.000 (0.001); alike "
    "0.09, p 0.538 (0.001); of nothing 0.87, p 0.001 (0.275)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
