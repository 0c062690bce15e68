#!/usr/bin/env bash
# mammoinsight-math 0.1.1, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6.
# Behaviour: refine_with_watershed is to part objects of a mask that touch. It finds them, and gives back all that has
# a label: no line is drawn between two that touch, so that the mask is the one that was given, and two masses stay
# one.
# Expected: two, as the same steps by scikit-image with watershed_line.
# Seen: "two round masses of radius 30, 30 apart 1, 0 pixels changed, by a watershed with a line 2; 40 apart 1, 0
# pixels changed, by a watershed with a line 2; 50 apart 1, 0 pixels changed, by a watershed with a line 2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps mammoinsight-math==0.1.1
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 \
    scikit-image==0.25.2 scikit-learn==1.7.2 scipy==1.15.3 networkx==3.4.2 matplotlib==3.10.9 pandas==2.3.3 \
    requests==2.32.5 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mammo_math.segmentation.watershed import refine_with_watershed
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

rows, columns = np.mgrid[:200, :200] - 100.0


def parted(mask):
    """Return the mask with a line where the watershed parts its objects."""
    inward = ndimage.distance_transform_edt(mask)
    markers = np.zeros(mask.shape, int)
    for label, place in enumerate(peak_local_max(inward, min_distance=10, labels=ndimage.label(mask)[0]), 1):
        markers[tuple(place)] = label
    return watershed(-inward, markers, mask=mask, watershed_line=True) > 0


said = []
for apart in (30, 40, 50):
    near = [np.hypot(rows, columns + side * apart / 2) < 30 for side in (-1, 1)]
    mask = (near[0] | near[1]).astype(np.uint8) * 255
    after = refine_with_watershed(mask)
    said.append(
        f"{apart} apart {ndimage.label(after)[1]}, {np.sum(after != mask)} pixels changed, by a watershed with a line "
        f"{ndimage.label(parted(mask))[1]}"
    )
line = "two round masses of radius 30, " + "; ".join(said)
print(line)
expected = (
    "two round masses of radius 30, 30 apart 1, 0 pixels changed, by a watershed with a line 2; 40 apart 1, 0 pixels "
    "changed, by a watershed with a line 2; 50 apart 1, 0 pixels changed, by a watershed with a line 2"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
