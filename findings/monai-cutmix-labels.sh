#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: CutMix puts a rectangle of another image into each image, a fifth of it on average, and gives the result
# the label of the other image alone: for labels with one number a class the rectangle is the whole row. A network
# learns that an image which is four fifths healthy, and shows no more of the ill one than a corner, is ill, and the
# other way round. The mixed label that the class has a method for (apply_on_labels) is not what a call returns.
# Expected: labels mixed by the share of the rectangle (Yun et al., ICCV 2019).
# Seen: "of 898 mixed images the other one has 0.19 of the pixels on average, and 1.00 of the label"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import CutMix

images = torch.arange(4.0)[:, None, None, None].expand(4, 1, 64, 64).clone()
pixels, labels = [], []
for seed in range(300):
    mix = CutMix(4, alpha=1.0)
    mix.set_random_state(seed)
    mixed, mixed_labels = mix(images, torch.eye(4))
    for place in range(4):
        (label,) = mixed_labels[place].nonzero().flatten().tolist()
        if label != place:
            pixels.append((mixed[place] == label).float().mean().item())
            labels.append(mixed_labels[place, label].item())
share, of_label = sum(pixels) / len(pixels), sum(labels) / len(labels)
print(
    f"of {len(pixels)} mixed images the other one has {share:.2f} of the pixels on average, and {of_label:.2f} of the label"
)
sys.exit(not (len(pixels) > 500 and share < 0.3 and min(labels) == 1.0))
PYTHON
