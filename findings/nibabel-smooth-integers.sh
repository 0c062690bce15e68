#!/usr/bin/env bash
# nibabel 5.4.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: smooth_image keeps the integers of an image and cuts its fraction off after each of three passes. A mask of
# 0 and 1 in uint8 or int16, smoothed by 6 mm as for a probability map, is empty; an even image of 7 becomes 5; the mean
# of a CT is 1.4 HU too high, since air is rounded up. The same voxels as floats are smoothed as they should be. The
# documentation says nothing of types; FSL, SPM and nilearn smooth in floats.
# Expected: 1 in the middle of a block of 20 mm and a sum that stays, for every type.
# Seen: "uint8: mask of 8000 sums to 0, middle 0.00, 7 becomes 5; int16: mask of 8000 sums to 0, middle 0.00, 7 becomes
# 5, mean of a CT +1.4 HU; float32: mask of 8000 sums to 8000, middle 1.00, 7 becomes 7, mean of a CT -0.0 HU"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
from nibabel.processing import smooth_image

mask = np.zeros((40, 40, 40))
mask[10:30, 10:30, 10:30] = 1
even = np.full_like(mask, 7)
scan = (np.where(mask > 0, 40, -1000) + np.random.RandomState(0).normal(0, 10, mask.shape)).round()


def smooth(voxels, kind):
    return smooth_image(nibabel.Nifti1Image(voxels.astype(kind), np.eye(4)), 6).get_fdata()


seen = []
for kind in ("uint8", "int16", "float32"):
    soft = smooth(mask, kind)
    said = f"{kind}: mask of 8000 sums to {soft.sum():.0f}, middle {soft[20, 20, 20]:.2f}, "
    said += f"7 becomes {smooth(even, kind).mean():.0f}"
    if kind != "uint8":
        said += f", mean of a CT {smooth(scan, kind).mean() - scan.mean():+.1f} HU"
    seen.append(said)
line = "; ".join(seen)
print(line)
expected = (
    "uint8: mask of 8000 sums to 0, middle 0.00, 7 becomes 5; int16: mask of 8000 sums to 0, middle 0.00, 7 "
    "becomes 5, mean of a CT +1.4 HU; float32: mask of 8000 sums to 8000, middle 1.00, 7 becomes 7, mean of a "
    "CT -0.0 HU"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
