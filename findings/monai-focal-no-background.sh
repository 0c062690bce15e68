#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: FocalLoss with softmax and include_background=False takes the background away before the softmax: of two
# classes one channel is left, whose softmax is 1 everywhere. The loss of any network is 0, and so is its gradient. With
# more classes a network that calls no voxel background has the loss of one without an error. DiceCELoss takes the
# softmax of all channels first.
# Expected: The probabilities of all classes, as in the network's output, with the background left out of the mean.
# Seen: "two classes, loss and gradient of random output (0.0, 0.0), of the inverse of the truth (0.0, 0.0); three
# classes, loss of the truth 0.0, of organs everywhere 0.0, where Dice loss has 0.0 and 0.939"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import DiceLoss, FocalLoss
from monai.networks.utils import one_hot

torch.manual_seed(0)
labels = torch.zeros(1, 1, 32, 32)
labels[..., 4:8, 4:8], labels[..., 12:16, 12:16] = 1, 2
focal = FocalLoss(include_background=False, to_onehot_y=True, use_softmax=True)
dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True)


def of(loss, logits, truth):
    """Return the loss, and the size of its gradient."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, truth)
    value.backward()
    return round(float(value), 3), round(float(logits.grad.abs().sum()), 3)


organ = (labels > 0).float()
chance, inverted = torch.randn(1, 2, 32, 32), -20 * one_hot(organ, 2)
two = [of(focal, logits, organ) for logits in (chance, inverted)]
right = 20 * one_hot(labels, 3)
everywhere = right.clone()
everywhere[:, 0] = -20  # no voxel is background
three = [of(loss, logits, labels)[0] for logits in (right, everywhere) for loss in (focal, dice)]
print(
    f"two classes, loss and gradient of random output {two[0]}, of the inverse of the truth {two[1]}; three classes, "
    f"loss of the truth {three[0]}, of organs everywhere {three[2]}, where Dice loss has {three[1]} and {three[3]}"
)
sys.exit(two != [(0, 0), (0, 0)] or three[:1] != [0] or three[2] != 0 or three[3] < 0.5)
PYTHON
