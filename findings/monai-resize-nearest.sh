#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: Resized (and Zoomd) with "trilinear" for the image and "nearest" for its mask puts the mask beside the
# image: nearest takes the first voxel of each group and not the middle one. From 1 mm to 5 mm that is 2 mm along every
# axis, and the two affines are equal. With "nearest-exact", or with lazy=True, both lie on the same place.
# Expected: image and mask on the same place, up to the rounding of the mask.
# Seen: "a ball of 1 mm voxels made 5 mm: image moved by 0.0 mm, mask by 2.1, nearest-exact 0.0, lazy 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Resized

grid = torch.stack(torch.meshgrid(*[torch.arange(95.0)] * 3, indexing="ij"))
ball = (((grid - 47) ** 2).sum(0).sqrt() < 30).float()[None]


def moved(mode, lazy=False):
    """Return in mm how far the ball's middle moved along the first axis, by the result's own affine."""
    made = Compose([Resized(keys="ball", spatial_size=19, size_mode="longest", mode=mode)], lazy=lazy)(
        {"ball": MetaTensor(ball.clone(), affine=torch.eye(4))}
    )["ball"]
    places = torch.arange(19.0) * float(made.affine[0, 0]) + float(made.affine[0, 3])
    weights = made.as_tensor()[0].sum(dim=(1, 2))
    return abs(float((places * weights).sum() / weights.sum()) - 47)


image, mask = moved("trilinear"), moved("nearest")
exact, lazy = moved("nearest-exact"), moved("nearest", lazy=True)
print(
    f"a ball of 1 mm voxels made 5 mm: image moved by {image:.1f} mm, mask by {mask:.1f}, "
    f"nearest-exact {exact:.1f}, lazy {lazy:.1f}"
)
sys.exit(not (image < 0.1 and 1.5 < mask < 2.5 and exact < 0.1 and lazy < 0.1))
PYTHON
