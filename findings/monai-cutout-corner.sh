#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: the point that CutOut draws is the first corner of its rectangle instead of the centre, and what lies
# beyond the border is cut off. The upper left of images is hardly ever cut out, the lower right half of the time: a
# network can learn to look there less. All images of a batch have the same point.
# Expected: a square about a point of the image (DeVries and Taylor 2017, section 3.2, the paper that is cited), which
# treats left and right, above and below alike.
# Seen: "cut out of 4000 images: upper left 0.8%, centre 23.5%, lower right 52.1%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import torch
from monai.transforms import CutOut

torch.manual_seed(0)
cut = CutOut(batch_size=8, alpha=1.0)
cut.set_random_state(0)
ones = torch.ones(8, 1, 32, 32)
gone = torch.stack([cut(ones) == 0 for _ in range(500)]).float().mean((0, 1, 2))  # (rows, columns)
places = [float(gone[slice(row, row + 4), slice(column, column + 4)].mean()) for row, column in ((0, 0), (14, 14), (28, 28))]
print("cut out of 4000 images: upper left {:.1%}, centre {:.1%}, lower right {:.1%}".format(*places))
sys.exit(not (places[0] < 0.05 and places[2] > 0.3 and places[0] < places[1] < places[2]))
PYTHON
