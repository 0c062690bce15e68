#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: MaskedLoss multiplies the network's output by the mask before the loss turns it into probabilities. Outside
# the mask the output is then 0, which is a probability of one half, and counts: a network without an error has a binary
# cross-entropy of 0.69 times the share outside, of two hospitals with the same images the one that annotates less has
# the greater loss, and with a Dice loss inside MaskedLoss a perfect result is 0.8 away from 0 where a tenth is annotated.
# MaskedDiceLoss applies the sigmoid first.
# Expected: a loss of 0: voxels outside the mask do not count.
# Seen: "no error, a tenth annotated: cross-entropy 0.62, Dice loss 0.82; MaskedDiceLoss 0.00; inside alone 0.00, 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import DiceLoss, MaskedDiceLoss, MaskedLoss

truth = torch.zeros(1, 1, 20, 20)
truth[..., :10] = 1
logits = truth * 40 - 20  # certain, and right everywhere
mask = torch.zeros(1, 1, 20, 20)
mask[:, :, :2] = 1
entropy = MaskedLoss(torch.nn.BCEWithLogitsLoss)(logits, truth, mask).item()
dice = MaskedLoss(DiceLoss, sigmoid=True)(logits, truth, mask).item()
other = MaskedDiceLoss(sigmoid=True)(logits, truth, mask).item()
inside = logits[:, :, :2], truth[:, :, :2]
alone = torch.nn.BCEWithLogitsLoss()(*inside).item(), DiceLoss(sigmoid=True)(*inside).item()
print(
    f"no error, a tenth annotated: cross-entropy {entropy:.2f}, Dice loss {dice:.2f}; MaskedDiceLoss {other:.2f}; inside "
    f"alone {alone[0]:.2f}, {alone[1]:.2f}"
)
sys.exit(not (0.6 < entropy < 0.65 and dice > 0.3 and max(abs(other), *map(abs, alone)) < 0.01))
PYTHON
