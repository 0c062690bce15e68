#!/usr/bin/env bash
# volumentations-3D 1.0.4, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: Rotate and ElasticTransform turn about the middle of the volume, and put that middle at size / 2, rounded,
# where it is (size - 1) / 2: a rotation by 0 degrees, or by any, moves the image by half a voxel where the size is even
# and by a whole one for every other odd size, and nothing for the rest. Where the size is even the image is moved by
# half a voxel and the mask by a whole one, and a single voxel keeps an eighth of its value. The documentation says
# nothing of it.
# Expected: the same place after a rotation by 0 degrees.
# Seen: "rotated by 0 degrees, image and mask move by -0.5 and -1 (32 voxels), 0.0 and 0 (33 voxels), -1.0 and -1 (35
# voxels); a voxel of 1 becomes 0.125"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 \
    opencv-python-headless==5.0.0.93
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps volumentations-3D==1.0.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from volumentations import Compose, ElasticTransform, Rotate


def moved(transform, size):
    """Return by how many voxels an image and its mask move along an axis, and what one voxel of 1 keeps."""
    image = np.zeros((size,) * 3, np.float32)
    image[10, 10, 10] = 1
    after = Compose([transform])(image=image, mask=(image > 0).astype(np.uint8))
    weights = after["image"].sum(axis=(1, 2))
    place = float(np.arange(size) @ weights / weights.sum())
    return place - 10, int(np.argwhere(after["mask"])[0, 0]) - 10, float(after["image"].max())


sizes = (32, 33, 35)
turned = [moved(Rotate((0, 0), (0, 0), (0, 0), p=1), size) for size in sizes]
bent = [moved(ElasticTransform(deformation_limits=(0, 0), p=1), size) for size in sizes]
assert np.allclose(turned, bent)
print(
    "rotated by 0 degrees, image and mask move by "
    + ", ".join(f"{image:.1f} and {mask} ({size} voxels)" for size, (image, mask, _) in zip(sizes, turned))
    + f"; a voxel of 1 becomes {turned[0][2]:.3f}"
)
sys.exit(not np.allclose(turned, [(-0.5, -1, 0.125), (0, 0, 1), (-1, -1, 1)], atol=0.01))
PYTHON
