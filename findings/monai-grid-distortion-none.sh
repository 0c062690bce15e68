#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: GridDistortion and RandGridDistortion repeat a row of voxels where two cells of the grid meet, and stretch
# what lies between to make room. Without any distortion, by steps of 1 or a limit of 0, a lesion of 5 x 5 pixels keeps
# 20.7 of its 25 in an image of 64 pixels, and rows lie up to a pixel off. The limit is 3 % by default.
# Expected: the same image for a distortion of 0, as from Rand3DElastic with a magnitude of 0.
# Seen: "no distortion: of a lesion of 25 pixels 20.7 by a limit of 0, 20.7 by steps of 1; 5 rows stand twice, rows lie
# up to 1.00 pixels off; Rand3DElastic of magnitude 0 changes 0e+00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import torch
from monai.transforms import GridDistortion, Rand3DElastic, RandGridDistortion

lesion, rows = torch.zeros(1, 64, 64), torch.arange(64.0)[None, :, None].expand(1, 64, 64)
lesion[:, 14:19, 14:19] = 1
none = RandGridDistortion(num_cells=5, distort_limit=0.0, prob=1.0)
steps = GridDistortion(num_cells=5, distort_steps=[(1.0,) * 6] * 2, padding_mode="border")
sizes = [float(transform(lesion).sum()) for transform in (none, steps)]
there = none(rows)[0, :, 0]
twice = int(((there[1:] - there[:-1]).abs() < 1e-3).sum())
moved = float((there - rows[0, :, 0]).abs().max())
volume = torch.rand(1, 16, 16, 16)
elastic = Rand3DElastic(sigma_range=(2, 3), magnitude_range=(0, 0), prob=1.0, padding_mode="border")
apart = float((elastic(volume) - volume).abs().max())
print(
    f"no distortion: of a lesion of 25 pixels {sizes[0]:.1f} by a limit of 0, {sizes[1]:.1f} by steps of 1; {twice} rows stand "
    f"twice, rows lie up to {moved:.2f} pixels off; Rand3DElastic of magnitude 0 changes {apart:.0e}"
)
sys.exit(not (max(sizes) < 22 and twice >= 4 and moved > 0.8 and apart < 1e-4))
PYTHON
