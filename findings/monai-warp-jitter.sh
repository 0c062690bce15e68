#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: Warp with jitter=True, which is to sample an image off its grid so that interpolation favours no
# displacement, moves every point by 0 to 1 voxel forwards, never back: by half a voxel in the mean. An image that is
# registered to itself through it is displaced by half a voxel, 2.5 mm across slices of 5 mm, and the displacement is
# wrong by that for the masks and doses that are moved by it without the jitter.
# Expected: a jitter about 0, and no displacement: without it there is none.
# Seen: "an image registered to itself: displaced by 0.00 voxels, with jitter by -0.48; the jitter goes from 0.00 to
# 1.00 voxels, 0.50 in the mean"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.blocks import Warp

axis = torch.arange(48.0)
rows, columns = torch.meshgrid(axis, axis, indexing="ij")
image = torch.exp(-((rows - 22) ** 2 + (columns - 26) ** 2) / 100)[None, None]  # a smooth lesion, seven voxels wide


def registered(warp):
    """Return the shift in voxels by which the image fits itself best, along the first axis."""
    shift = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([shift], max_iter=50, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = ((warp(image, shift[None, :, None, None].expand(1, 2, 48, 48)) - image) ** 2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return float(shift.detach()[0])


plain, jittered = registered(Warp()), registered(Warp(jitter=True))
ramp = rows[None, None]
moved = (Warp(jitter=True)(ramp, torch.zeros(1, 2, 48, 48)) - ramp)[0, 0, :-1]  # by how much each point is moved
print(
    f"an image registered to itself: displaced by {abs(plain):.2f} voxels, with jitter by {jittered:.2f}; the jitter "
    f"goes from {abs(moved.min()):.2f} to {moved.max():.2f} voxels, {moved.mean():.2f} in the mean"
)
sys.exit(not (abs(plain) < 0.01 and abs(jittered + 0.5) < 0.05 and moved.min() > -0.01))
PYTHON
