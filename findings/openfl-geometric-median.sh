#!/usr/bin/env bash
# openfl 1.9, dynaconf 3.2.12, tqdm 4.67.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: GeometricMedian, "using Weiszfeld's algorithm", divides in each step not the hospitals' weights by the
# distances but what the step before left of them: whoever is nearest to the mean gains in every step, and the result
# runs to its model. Of three hospitals whose models are the corners of a triangle the sum of distances is hardly
# smaller than for the mean; and a hospital with 5 % of the images is the result where another one has 55 %, whose model
# is the geometric median whatever the others send. It stops after four steps, so that less of this is seen.
# Expected: the point with the smallest sum of weighted distances.
# Seen: "sum of distances to three corners: mean 1.000, GeometricMedian 0.992, four steps of the algorithm 0.955; models
# 0, 4 and 10 with 55, 5 and 40 % of the images: 4.00 after 1000 steps, the algorithm 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 dynaconf==3.2.12 tqdm==4.67.1 \
    pandas==2.3.3
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps openfl==1.9
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from openfl.interface.aggregation_functions.geometric_median import GeometricMedian, geometric_median
from openfl.utilities import LocalTensor


def by_steps(models, weights, steps):
    """Return Weiszfeld's algorithm after some steps, from the mean."""
    median = weights @ models
    for _ in range(steps):
        near = weights / np.maximum(1e-9, np.linalg.norm(models - median, axis=1))
        median = near @ models / near.sum()
    return median


def distances(median, models, weights):
    return float(weights @ np.linalg.norm(models - median, axis=1))


corners, equal = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 2.0]]), np.full(3, 1 / 3)
found = GeometricMedian().call([LocalTensor(str(row), *each) for row, each in enumerate(zip(corners, equal))])
sums = [distances(at, corners, equal) for at in (equal @ corners, found, by_steps(corners, equal, 4))]
line, images = np.array([[0.0], [4.0], [10.0]]), np.array([0.55, 0.05, 0.40])
ends = [float(of(line, images, 1000)[0]) for of in (geometric_median, by_steps)]
print(
    f"sum of distances to three corners: mean {sums[0]:.3f}, GeometricMedian {sums[1]:.3f}, four steps of the "
    f"algorithm {sums[2]:.3f}; models 0, 4 and 10 with 55, 5 and 40 % of the images: {ends[0]:.2f} after 1000 steps, "
    f"the algorithm {abs(ends[1]):.2f}"
)
sys.exit(not (sums[0] - sums[1] < 0.2 * (sums[0] - sums[2]) and abs(ends[0] - 4) < 0.01 and abs(ends[1]) < 0.01))
PYTHON
