#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: GlobalMutualInformationLoss with the kernel b-spline lays its bins from the least to the greatest value of
# the batch, not of each image: beside a pair that is ten times as bright, as MR of another scanner is, a pair has a
# mutual information of 0.23 in the place of 1.76, and beside one a hundred times as bright none at all, with it no
# gradient. Alone both have the same.
# Expected: the bins of each image, as probabilities are taken for each: the loss of a pair does not depend on the
# others of its batch.
# Seen: "loss of a pair of images alone -1.76, ten times as bright -1.76; beside a pair 1 times as bright -1.76, beside
# a pair 10 times as bright -0.23, beside a pair 100 times as bright 0.00; the gradient goes from 3.0e-03 to 1.7e-12"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import GlobalMutualInformationLoss

generator = torch.Generator().manual_seed(0)
fixed = torch.rand(1, 1, 16, 16, 16, generator=generator)
moving = fixed**2 + 0.05 * torch.rand(fixed.shape, generator=generator)
loss = GlobalMutualInformationLoss(kernel_type="b-spline", reduction="none")
alone, bright = float(loss(moving, fixed)), float(loss(10 * moving, 10 * fixed))
beside, gradients = {}, {}
for times in (1, 10, 100):
    moved = moving.clone().requires_grad_(True)
    value = loss(torch.cat([moved, times * moving]), torch.cat([fixed, times * fixed]))[0]
    (gradient,) = torch.autograd.grad(value, moved)
    beside[times], gradients[times] = round(float(value.detach()), 4) + 0.0, float(gradient.abs().mean())
print(
    f"loss of a pair of images alone {alone:.2f}, ten times as bright {bright:.2f}; "
    + ", ".join(f"beside a pair {times} times as bright {value:.2f}" for times, value in beside.items())
    + f"; the gradient goes from {gradients[1]:.1e} to {gradients[100]:.1e}"
)
same = abs(alone - bright) < 0.01 and abs(beside[1] - alone) < 0.01
sys.exit(not (same and beside[10] > -0.5 and abs(beside[100]) < 0.01))
PYTHON
