#!/usr/bin/env bash
# miseval 1.3.0, hausdorff 0.2.6, numba 0.67.0, scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: the Hausdorff distance of two masks takes each row of the image for a point of as many coordinates as there
# are columns: a lesion outlined 30 pixels below its place has the same rows, and a distance of 0. To the side it has
# 3.9 for 30 pixels. The label asked for is not looked at. The "average Hausdorff distance" is the greatest one, and the
# mean boundary distance, which pairs every point with every other, is 10 for two equal masks and 8 for one that is too
# small.
# Expected: distances of 30 for both, 0 for equal masks, and an average that is one.
# Seen: "a disc moved by 30 rows: HD 0.0, AHD 30.0, BD 31.0; by 30 columns: HD 3.9, AHD 30.0, BD 31.1; one pixel aside
# AHD 1.0, true mean 0.6; equal: BD 10.0, a quarter of its size: BD 8.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check miseval==1.3.0 hausdorff==0.2.6 numba==0.67.0 \
    scikit-image==0.26.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from miseval import evaluate
from scipy.ndimage import binary_erosion, distance_transform_edt

rows, columns = np.mgrid[:64, :64]


def disc(row, column, radius):
    return ((rows - row) ** 2 + (columns - column) ** 2 < radius**2).astype(int)


def measured(outlined):
    return [round(float(evaluate(truth, outlined, name)), 1) for name in ("HD", "AHD", "BD")]


def mean_distance(first, second):
    """Return the mean distance from either border to the other, in pixels."""
    borders = [mask & ~binary_erosion(mask) for mask in (first > 0, second > 0)]
    return np.concatenate([distance_transform_edt(~there)[here] for here, there in (borders, borders[::-1])]).mean()


truth = disc(20, 20, 8)
below, beside, near, same, small = (
    measured(mask) for mask in (disc(50, 20, 8), disc(20, 50, 8), disc(21, 20, 8), truth, disc(20, 20, 4))
)
mean = mean_distance(truth, disc(21, 20, 8))
print(
    f"a disc moved by 30 rows: HD {below[0]}, AHD {below[1]}, BD {below[2]}; by 30 columns: HD {beside[0]}, AHD "
    f"{beside[1]}, BD {beside[2]}; one pixel aside AHD {near[1]}, true mean {mean:.1f}; equal: BD {same[2]}, a quarter of "
    f"its size: BD {small[2]}"
)
sys.exit(not (below[0] == 0 and beside[0] < 10 and near[1] == 1 > mean + 0.1 and same[2] > small[2] > 5))
PYTHON
