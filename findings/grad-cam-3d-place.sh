#!/usr/bin/env bash
# grad-cam 1.5.7, torch 2.13.0, torchvision 0.28.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the map of a volume is made as large as the volume by scipy's zoom, which lays the middle of the first cell
# of the layer on the first voxel and that of the last on the last; images of two dimensions are made larger by OpenCV,
# which lays edge on edge. In a volume of 96 voxels and a layer of 3 cells a finding in the first cell, whose middle is
# voxel 15.5, has its peak at the volume's border, and the map in the finding is little more than half as strong. All
# methods of the library are concerned; nothing is said of it.
# Expected: a map in its place in three dimensions as in two.
# Seen: "finding at voxel 15.5: strongest at 7.5 in an image and 1.0 in a volume, the map in the finding 0.88 and 0.50"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check grad-cam==1.5.7 torch==2.13.0 torchvision==0.28.0 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch

if torch.version.cuda is None:  # torchvision, of which a scaling is used, asks for its operators when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget


class Bright(torch.nn.Module):
    """A network that looks for brightness, in cells of 32 voxels a side."""

    def __init__(self, axes):
        super().__init__()
        self.cells = (torch.nn.AvgPool2d if axes == 2 else torch.nn.AvgPool3d)(32)
        self.layer = (torch.nn.Conv2d if axes == 2 else torch.nn.Conv3d)(1, 1, 1)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, images):
        return self.layer(self.cells(images)).flatten(1).mean(1, keepdim=True)


def shown(axes):
    """Return where the map of a finding in the middle of the first cell has its centre, and the map in the finding."""
    finding = (slice(8, 24),) * axes
    image = torch.zeros((1, 1) + (96,) * axes)
    image[(0, 0, *finding)] = 1
    network = Bright(axes)
    cam = GradCAM(network, [network.layer])(image, [ClassifierOutputTarget(0)])[0]
    strongest = np.argwhere(cam > 0.99).mean(axis=0)
    return float(strongest.mean()), float(cam[finding].mean())


(flat, inside_flat), (deep, inside_deep) = shown(2), shown(3)
print(
    f"finding at voxel 15.5: strongest at {flat:.1f} in an image and {deep:.1f} in a volume, the map in the finding "
    f"{inside_flat:.2f} and {inside_deep:.2f}"
)
sys.exit(not (deep < 3 < 6 < flat and inside_deep < 0.6 < inside_flat))
PYTHON
