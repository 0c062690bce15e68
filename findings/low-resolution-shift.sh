#!/usr/bin/env bash
# MONAI 1.6.1, torchio 1.2.1, SimpleITK 2.5.7, torch 2.13.0, numpy 2.4.6.
# Behaviour: augmentations that make an image coarse and fine again move it: MONAI's RandSimulateLowResolution and
# torchio's RandomAnisotropy thin the image by "nearest", which takes the first voxel of a group, and then interpolate
# between the groups' middles. They are meant for the image alone, so that its mask, which is right, no longer lies on
# it.
# Expected: a blurred image on the same place.
# Seen: "a ball of 1 mm voxels, thinned 4 times: moved by 1.5 mm in MONAI, by 0.5 mm in torchio, its mask by 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 torchio==1.2.1 SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
import torchio
from monai.transforms import RandSimulateLowResolution

grid = torch.stack(torch.meshgrid(*[torch.arange(64.0)] * 3, indexing="ij"))
ball = torch.exp(-((grid - 31.5) ** 2).sum(0) / (2 * 6**2))[None]


def moved(volume):
    """Return how far the ball's middle moved along the last axis, whose voxels are 1 mm."""
    weights = volume[0].double().sum(dim=(0, 1))
    return abs(float((torch.arange(64) * weights).sum() / weights.sum()) - 31.5)


monai = moved(torch.as_tensor(RandSimulateLowResolution(prob=1.0, zoom_range=(0.25, 0.25))(ball.clone())))
subject = torchio.Subject(
    image=torchio.ScalarImage(tensor=ball), mask=torchio.LabelMap(tensor=(ball > 0.5).int())
)
thinned = torchio.RandomAnisotropy(axes=(2,), downsampling=(4, 4))(subject)
image, mask = moved(thinned.image.data), moved(thinned.mask.data)
print(
    f"a ball of 1 mm voxels, thinned 4 times: moved by {monai:.1f} mm in MONAI, by {image:.1f} mm in torchio, "
    f"its mask by {mask:.1f}"
)
sys.exit(not (monai > 1 and image > 0.4 and mask < 0.05))
PYTHON
