#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: Transpose permutes the axes of an image and leaves its affine as it was, where Flip, Rotate90 and
# Orientation change it with the voxels. The voxel sizes then belong to other axes, and Spacing, which follows,
# resamples by the wrong ones.
# Expected: an affine with the same axes exchanged.
# Seen: "voxels of 1 x 1 x 5 mm, axes turned round: sizes by the affine 1 x 1 x 5; an edge of 50 mm becomes 10 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 nibabel==5.4.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing, Transpose

affine = torch.diag(torch.tensor([1.0, 1.0, 5.0, 1.0]))
volume = MetaTensor(torch.zeros(1, 40, 30, 20), affine=affine)
volume[:, 5:35, 5:25, 5:15] = 1  # 30 x 20 x 50 mm


def longest(transform):
    """Return in mm, after resampling to 1 mm, the edge of the box that is 50 mm."""
    turned = Spacing((1, 1, 1), mode="nearest")(transform(volume.clone()))
    return int((turned[0].sum(dim=(1, 2)) > 0).sum())


sizes = " x ".join(f"{size:.0f}" for size in Transpose((0, 3, 2, 1))(volume.clone()).pixdim)
right, wrong = longest(Orientation("SAR")), longest(Transpose((0, 3, 2, 1)))
print(f"voxels of 1 x 1 x 5 mm, axes turned round: sizes by the affine {sizes}; an edge of {right} mm becomes {wrong} mm")
sys.exit(not (sizes == "1 x 1 x 5" and 48 <= right <= 52 and wrong == 10))
PYTHON
