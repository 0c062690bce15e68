#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: with a `sw_batch_size` of 1, sliding_window_inference gives the network a view of the image, with 2 and more a
# copy. A network whose first step works in place (subtracting a mean, LeakyReLU(inplace=True)) changes the image for
# the windows that overlap, and the caller's image. A network that returns its input beside its mask has it multiplied
# by the windows' weights before the next window is cut: with `gaussian` an even image of 100 falls to 0.1, and most of
# the structure is not found. Nothing warns, and on the same image other batch sizes are right.
# Expected: the same result for every batch size, and an image left as it was.
# Seen: "an even image of 100 minus 50, windows by 1: -25 to 50, by 4: 50 to 50, the image afterwards -100 to 50 and 100 to
# 100; returned beside its mask by 1: 0.1 to 100, by 4: 100 to 100, least of the mask (1 is right) 0.00 and 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.inferers import sliding_window_inference


def centred(windows):
    windows -= 50
    return windows * 1


def with_mask(windows):
    return {"image": windows, "mask": (windows > 50).float()}


def extent(values):
    return round(values.min().item(), 1), round(values.max().item(), 1)


shifted, images, beside, masks = [], [], [], []
for together in (1, 4):
    image = torch.full((1, 1, 32, 32), 100.0)
    shifted.append(extent(sliding_window_inference(image, (16, 16), together, centred, overlap=0.5)))
    images.append(extent(image))
    image = torch.full((1, 1, 32, 32), 100.0)
    both = sliding_window_inference(image, (16, 16), together, with_mask, overlap=0.5, mode="gaussian")
    beside.append(extent(both["image"]))
    masks.append(both["mask"].min().item())
print(
    f"an even image of 100 minus 50, windows by 1: {shifted[0][0]:g} to {shifted[0][1]:g}, by 4: {shifted[1][0]:g} to "
    f"{shifted[1][1]:g}, the image afterwards {images[0][0]:g} to {images[0][1]:g} and {images[1][0]:g} to "
    f"{images[1][1]:g}; returned beside its mask by 1: {beside[0][0]:g} to {beside[0][1]:g}, by 4: {beside[1][0]:g} to "
    f"{beside[1][1]:g}, least of the mask (1 is right) {masks[0]:.2f} and {masks[1]:.2f}"
)
wrong = shifted[0] == (-25, 50) and images[0] == (-100, 50) and beside[0] == (0.1, 100) and masks[0] < 0.01
sys.exit(not (wrong and shifted[1] == (50, 50) and images[1] == beside[1] == (100, 100) and masks[1] > 0.99))
PYTHON
