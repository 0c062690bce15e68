#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: GeneralizedDiceLoss gives an image without the structure a loss of 0 and no gradient, whatever the network
# outlines there, alone or as one of a batch: a network that outlines everything everywhere is never corrected by healthy
# patients. The weight of a class without voxels would be infinite, and is replaced by the largest of the other classes;
# where there is no other, by 0. One class is enough: `sigmoid` with one channel, or two without background. DiceLoss
# gives 1.
# Expected: 1, or at least more than for a healthy image left alone.
# Seen: "loss of a healthy image outlined nowhere, everywhere: generalized 0, 0, by softmax without background 0, 0; Dice 0,
# 1. Slope of the generalized at 0.5: 0. A batch of one with the structure and one without: 0.39 and 0.89"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import DiceLoss, GeneralizedDiceLoss

healthy = torch.zeros(1, 1, 32, 32)
ill = healthy.clone()
ill[..., :4, :] = 1


def losses(measure, channels):
    """Return the loss of a healthy image of which nothing is outlined, and of which all is."""
    nothing, everything = (torch.full((1, channels, 32, 32), sure) for sure in (-30.0, 30.0))
    if channels == 2:  # background first
        nothing[:, 0], everything[:, 0] = 30, -30
    return [round(measure(logits, healthy).item(), 3) for logits in (nothing, everything)]


generalized, dice = GeneralizedDiceLoss(sigmoid=True), DiceLoss(sigmoid=True)
two = GeneralizedDiceLoss(softmax=True, to_onehot_y=True, include_background=False)
alone, softmax, plain = losses(generalized, 1), losses(two, 2), losses(dice, 1)
unsure = torch.zeros(1, 1, 32, 32, requires_grad=True)
generalized(unsure, healthy).backward()
slope = unsure.grad.abs().sum().item()
batch = [loss(torch.full((2, 1, 32, 32), 30.0), torch.cat([ill, healthy])).item() for loss in (generalized, dice)]
print(
    f"loss of a healthy image outlined nowhere, everywhere: generalized {alone[0]:g}, {alone[1]:g}, by softmax without "
    f"background {softmax[0]:g}, {softmax[1]:g}; Dice {plain[0]:g}, {plain[1]:g}. Slope of the generalized at 0.5: "
    f"{slope:g}. A batch of one with the structure and one without: {batch[0]:.2f} and {batch[1]:.2f}"
)
right = alone == softmax == [0, 0] and slope == 0 and plain == [0, 1]
sys.exit(not (right and batch[0] < 0.4 and batch[1] > 0.85))
PYTHON
