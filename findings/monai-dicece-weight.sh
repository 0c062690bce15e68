#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: DiceCELoss with class weights has another value, and other gradients, for the same labels as indices and as
# one channel a class. Indices reach torch's cross_entropy as such, which divides by the sum of the weights of all
# pixels; channels reach it as probabilities, where it divides by the number of pixels. With weights of 1 and 9 the
# cross-entropy is seven times larger, and so is its part in the sum with Dice. DiceFocalLoss with the same weights is
# the same for both, and so is DiceCELoss without weights.
# Expected: the form in which labels are handed over does not matter.
# Seen: "DiceCELoss with weights 1, 9, 9: 6.46 of indices, 16.74 of channels; without: 2.51 and 2.51; DiceFocalLoss with
# them: 7.54 and 7.54"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import DiceCELoss, DiceFocalLoss

torch.manual_seed(0)
logits, indices = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 1, 4, 4))
channels = torch.nn.functional.one_hot(indices[:, 0], 3).permute(0, 3, 1, 2).float()


def both(loss, weights=None):
    how = {"softmax": True, "weight": weights}
    return loss(to_onehot_y=True, **how)(logits, indices).item(), loss(**how)(logits, channels).item()


weights = torch.tensor([1.0, 9.0, 9.0])
weighed, plain, focal = both(DiceCELoss, weights), both(DiceCELoss), both(DiceFocalLoss, weights)
print(
    f"DiceCELoss with weights 1, 9, 9: {weighed[0]:.2f} of indices, {weighed[1]:.2f} of channels; without: {plain[0]:.2f} "
    f"and {plain[1]:.2f}; DiceFocalLoss with them: {focal[0]:.2f} and {focal[1]:.2f}"
)
alike = [abs(one - other) < 1e-4 for one, other in (weighed, plain, focal)]
sys.exit(alike != [False, True, True] or weighed[1] < 2 * weighed[0])
PYTHON
