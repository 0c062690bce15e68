#!/usr/bin/env bash
# scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: normalised moments of a region with spacing divide by the count of pixels, not by the area, and scale by
# the smaller side of a pixel: of the same ellipse in mm they are 0.16 in square pixels of any size and 0.32 in pixels
# of 2 mm x 1 mm. A shape feature for a classifier changes with the scanner. area, centroid and axis lengths of the same
# call are right. The documentation of regionprops calls them "translation and scale invariant" and takes a spacing per
# axis.
# Expected: the same numbers, but for the pixels' edge.
# Seen: "an ellipse of 80 mm x 40 mm, whose normalised moment is 0.1592: 0.1599 in pixels of 1 x 1, 0.1595 in pixels of
# 0.5 x 0.5, 0.3184 in pixels of 2 x 1, 0.6785 in pixels of 1 x 4; areas 2509, 2510, 2514, 2460"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
from skimage.measure import regionprops


def region(spacing):
    """Return an ellipse of half axes of 40 mm and 20 mm in pixels of this spacing."""
    rows, columns = np.mgrid[: int(200 / spacing[0]), : int(200 / spacing[1])]
    inside = ((rows * spacing[0] - 100) / 40) ** 2 + ((columns * spacing[1] - 100) / 20) ** 2 <= 1
    return regionprops(inside.astype(np.uint8), spacing=spacing)[0]


right = 40 / (4 * math.pi * 20)  # a / (4 pi b), of any ellipse
found = {spacing: region(spacing) for spacing in ((1, 1), (0.5, 0.5), (2, 1), (1, 4))}
moments = {spacing: float(one.moments_normalized[2, 0]) for spacing, one in found.items()}
print(
    f"an ellipse of 80 mm x 40 mm, whose normalised moment is {right:.4f}: "
    + ", ".join(f"{value:.4f} in pixels of {spacing[0]} x {spacing[1]}" for spacing, value in moments.items())
    + f"; areas {', '.join(f'{one.area:.0f}' for one in found.values())}"
)
even = all(abs(moments[spacing] - right) < 0.001 for spacing in ((1, 1), (0.5, 0.5)))
areas = all(abs(one.area / (800 * math.pi) - 1) < 0.03 for one in found.values())
sys.exit(not (even and areas and moments[2, 1] > 1.9 * right and moments[1, 4] > 3.5 * right))
PYTHON
