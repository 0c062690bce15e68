#!/usr/bin/env bash
# torch-uncertainty 0.13.0, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: Cutout multiplies the square that it is to cut out by value, instead of filling it: a value of 1 cuts out
# nothing, 128 makes what is there 128 times as bright, and black tissue stays black. An odd length is the next smaller
# even one.
# Expected: "Value: pixel value to be filled in the cutout square", from 0 to 255, in a square of the length asked for.
# Seen: "squares cut out of an even image of 100 are [0.0] by value 0, [] by value 1, [12800.0] by value 128; the
# largest of 200 squares of length 9 has 64 pixels"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check "torch-uncertainty[cpu]==0.13.0" torch==2.13.0 \
    torchvision==0.28.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch

if torch.version.cuda is None:  # torchvision asks for its operators when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torch_uncertainty.transforms import Cutout

image = torch.full((1, 64, 64), 100.0)
seen = {}
for value in (0, 1, 128):
    torch.manual_seed(3)
    cut = Cutout(9, value)(image)
    seen[value] = (sorted(set(cut.flatten().tolist()) - {100.0}), int((cut != 100).sum()))
largest = max(int((Cutout(9)(image) == 0).sum()) for _ in range(200))
print(
    "squares cut out of an even image of 100 are "
    + ", ".join(f"{values} by value {value}" for value, (values, _) in seen.items())
    + f"; the largest of 200 squares of length 9 has {largest} pixels"
)
sys.exit(not (seen[0][0] == [0] and seen[1][0] == [] and seen[128][0] == [12800] and largest == 64))
PYTHON
