#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: the map that GradCAM returns is 0 where the network looked and 1 where it did not (its default
# postprocessing turns the scale round). A map without any evidence is not turned, it is 0 everywhere: the value of the
# hottest point.
# Expected: the largest value at the lesion, and the smallest where there is nothing.
# Seen: "score is the mean grey value: GradCAM at the lesion 0.0, beside it 1.0, in an image without a lesion 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.visualize import GradCAM

network = torch.nn.Sequential(
    torch.nn.Conv2d(1, 1, 3, padding=1, bias=False), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
)
torch.nn.init.constant_(network[0].weight, 1 / 9)
image = torch.zeros(1, 1, 16, 16)
image[..., 3:6, 3:6] = 1
heat = GradCAM(nn_module=network, target_layers="0")
found, empty = heat(image, class_idx=0)[0, 0], heat(torch.zeros(1, 1, 16, 16), class_idx=0)[0, 0]
lesion, beside, nothing = float(found[4, 4]), float(found[12, 12]), float(empty.max())
print(
    f"score is the mean grey value: GradCAM at the lesion {lesion}, beside it {beside}, "
    f"in an image without a lesion {nothing}"
)
sys.exit((lesion, beside, nothing) != (0.0, 1.0, 0.0))
PYTHON
