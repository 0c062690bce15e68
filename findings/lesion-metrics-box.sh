#!/usr/bin/env bash
# lesion-metrics 0.1.12, scikit-image 0.26.0, scipy 1.17.1, pillow 13.0.0, numpy 2.4.6.
# Behaviour: the overlap of each lesion with an outline is taken within the lesion's own box: what the outline has
# beyond it is not in the union. A cube is overlapped by 1.00 by an outline three voxels too large on all sides, and by
# one of all of the image. `iou_threshold` of ltpr, by which a lesion counts as found only if it is outlined well, keeps
# neither of them out.
# Expected: the intersection over the union of both, 0.09 for the larger outline and 0.002 for all of the image, so that
# no lesion is found at a threshold of 0.5.
# Seen: "overlap with a lesion, and what it is, at a threshold of 0.5: the lesion itself 1.00 (1.000), 1 found; three
# voxels too large 1.00 (0.094), 1 found; all of the image 1.00 (0.002), 1 found; one voxel aside 0.80 (0.667), 1 found"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check lesion-metrics==0.1.12 scikit-image==0.26.0 \
    scipy==1.17.1 pillow==13.0.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from lesion_metrics.metrics import iou_per_lesion, ltpr
from scipy.ndimage import binary_dilation

lesion = np.zeros((40, 40, 40), bool)
lesion[18:23, 18:23, 18:23] = True


def figures(outline):
    """Return the overlap of the lesion with an outline, the true one, and the share of lesions found."""
    truth = (lesion & outline).sum() / (lesion | outline).sum()
    found = ltpr(outline, lesion, iou_threshold=0.5)
    return f"{iou_per_lesion(lesion, outline)[0]:.2f} ({truth:.3f}), {found:.0f} found"


larger = binary_dilation(lesion, np.ones((3, 3, 3)), iterations=3)
line = (
    f"overlap with a lesion, and what it is, at a threshold of 0.5: the lesion itself {figures(lesion)}; three voxels "
    f"too large {figures(larger)}; all of the image {figures(np.ones_like(lesion))}; one voxel aside "
    f"{figures(np.roll(lesion, 1, 0))}"
)
print(line)
expected = (
    "overlap with a lesion, and what it is, at a threshold of 0.5: the lesion itself 1.00 (1.000), 1 found; three"
    " voxels too large 1.00 (0.094), 1 found; all of the image 1.00 (0.002), 1 found; one voxel aside 0.80 "
    "(0.667), 1 found"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
