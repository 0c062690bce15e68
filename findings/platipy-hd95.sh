#!/usr/bin/env bash
# platipy 0.7.2, SimpleITK 2.5.7, scikit-image 0.26.0, matplotlib 3.11.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: hausdorffDistance95 of compute_surface_metrics is the 95th percentile of two numbers, the greatest distance
# one way and the other: one stray voxel makes it 20 mm where 95 % of the surface agrees. sigmaSurfaceDistance is not
# divided by the number of points, so that it grows with a lesion's size: 14.8 for a cube of 10 voxels that is one
# aside. compute_metric_specificity crops to both masks unless told otherwise, which leaves few true negatives: 0.76
# instead of 0.996. The documentation names these measures and no more.
# Expected: 0 for the 95th percentile of distances, below 1 for a spread of distances of 0 and 1, and one specificity.
# Seen: "a ball and one voxel 20 mm off: hausdorffDistance95 19.95, of the distances themselves 0.00; a cube one voxel
# aside: distances of 0 to 1, sigma 14.8; specificity 0.759, without auto_crop 0.996"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 scikit-image==0.26.0 \
    matplotlib==3.11.2 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps platipy==0.7.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK
from platipy.imaging.label.comparison import compute_metric_specificity, compute_surface_metrics
from scipy.ndimage import binary_erosion, distance_transform_edt


def image(mask):
    return SimpleITK.GetImageFromArray(mask.astype(np.uint8))


def percentile(first, second):
    """Return the 95th percentile of the distances between both surfaces, in mm."""
    borders = [mask & ~binary_erosion(mask) for mask in (first, second)]
    distances = [distance_transform_edt(~there)[here] for here, there in (borders, borders[::-1])]
    return max(np.percentile(one, 95) for one in distances)


z, y, x = np.mgrid[:60, :60, :60]
ball = (z - 20) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 < 100
stray = ball.copy()
stray[50, 30, 30] = True
cube = np.zeros((20, 20, 20), bool)
cube[5:15, 5:15, 5:15] = True
found = compute_surface_metrics(image(ball), image(stray))["hausdorffDistance95"]
aside = compute_surface_metrics(image(cube), image(np.roll(cube, 1, 0)))
cropped, whole = (
    compute_metric_specificity(image(ball), image(np.roll(ball, 3, 0)), auto_crop=crop) for crop in (True, False)
)
usual = compute_metric_specificity(image(ball), image(np.roll(ball, 3, 0)))
right = float(percentile(ball, stray))
print(
    f"a ball and one voxel 20 mm off: hausdorffDistance95 {found:.2f}, of the distances themselves {right:.2f}; a cube one "
    f"voxel aside: distances of 0 to {aside['maximumSurfaceDistance']:g}, sigma {aside['sigmaSurfaceDistance']:.1f}; "
    f"specificity {usual:.3f}, without auto_crop {whole:.3f}"
)
large = aside["sigmaSurfaceDistance"] > 5 > 1 >= aside["maximumSurfaceDistance"]
sys.exit(not (found > 19 and right == 0 and large and usual == cropped < 0.8 < 0.99 < whole))
PYTHON
