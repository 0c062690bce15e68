#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: the volume variation coefficient that TestTimeAugmentation returns is the spread of all voxels of all
# outputs over their mean, in which no volume occurs. A lesion that is outlined the same way under every augmentation
# has 3.9, and one that is twice as large in half of the outputs has less, 3.1: the coefficient falls as lesions grow.
# Expected: the deviation of the volumes over their mean, as in the paper that is cited for it (Wang et al. 2019,
# section 3.3): 0 where all volumes are the same.
# Seen: "a lesion of 62 voxels of 1024 in 20 outputs, always the same: 3.94 for 0.00; twice as large in about half of
# them: 3.11 for 0.32; one of 512 voxels, always the same: 1.00 for 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import torch
from monai.data import MetaTensor, TestTimeAugmentation
from monai.transforms import RandFlipd

image = MetaTensor(torch.arange(1024.0).reshape(1, 32, 32))


def network(size, doubled):
    """Return a network that outlines the lowest values, twice as many where the image came flipped."""

    def outline(batch):  # (images, 1, 32, 32)
        flipped = batch[:, :, :1, :1] > batch[:, :, -1:, -1:]
        return (batch < torch.where(flipped & doubled, 2 * size, size)).float()

    return outline


def coefficients(size, doubled=False):
    """Return the coefficient that is given and that of the volumes."""
    flip = RandFlipd("image", prob=0.5, spatial_axis=(0, 1))
    arguments = {"batch_size": 5, "num_workers": 0, "inferrer_fn": network(size, doubled), "device": "cpu"}
    names = {"image_key": "image", "orig_key": "image"}
    torch.manual_seed(0)  # from which the loader draws the flips
    outputs = TestTimeAugmentation(flip, **arguments, **names, return_full_data=True)({"image": image}, num_examples=20)
    torch.manual_seed(0)
    given = TestTimeAugmentation(flip, **arguments, **names)({"image": image}, num_examples=20)[3]
    volumes = torch.as_tensor(outputs).flatten(1).sum(1)
    return given, float(volumes.std(correction=0) / volumes.mean())


same, twice, large = coefficients(62), coefficients(62, True), coefficients(512)
print(
    "a lesion of 62 voxels of 1024 in 20 outputs, always the same: {:.2f} for {:.2f}; twice as large in about half of them: "
    "{:.2f} for {:.2f}; one of 512 voxels, always the same: {:.2f} for {:.2f}".format(*same, *twice, *large)
)
sys.exit(not (same[1] == large[1] == 0 and same[0] > 3 and same[0] > twice[0] and twice[1] > 0.2 and large[0] > 0.9))
PYTHON
