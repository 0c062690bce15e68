#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: LocalNormalizedCrossCorrelationLoss of images in Hounsfield units is not between -1 and 0, as its docstring
# says, and orders images wrongly: it subtracts squares of sums in single precision, and in even air the rounding error
# of the covariance is divided by the least variance of 1e-5. The error decides what fits best: the same body 8 voxels
# aside, and nothing but air, have a lower loss than the body and itself, and with windows of 11 voxels losses are near
# -1e13. The same images from 0 to 1 are ordered as they should be. The documentation asks for no range of intensities.
# Expected: values from -1 to 0 with the least at the right place, in any unit, as the correlation of the same patches
# has in double precision.
# Seen: "HU: itself -0.849, 2 voxels aside -2.28, 8 voxels aside -2.21, air -3.08; 0..1: itself -0.849, 2 voxels aside
# -0.629, 8 voxels aside -0.474, air -0.488; HU in double: itself -0.849, 2 voxels aside -0.636, 8 voxels aside -0.491,
# air -0.488" (rounding errors may differ from one processor to another: only the order is checked)
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.losses import LocalNormalizedCrossCorrelationLoss

random = np.random.RandomState(0)
z, y, x = np.mgrid[:40, :40, :40] - 19.5
texture = random.normal(40, 15, (40, 40, 40))


def scan(shift=0):
    """A body of 24 voxels of 4 mm with its own texture in air of -1000 HU, `shift` voxels aside."""
    body = np.sqrt(z**2 + y**2 + x**2) < 12
    return np.roll(np.where(body, texture, -1000.0), shift, 0)


fixed = scan()
moved = {"itself": fixed, "2 voxels aside": scan(2), "8 voxels aside": scan(8), "air": np.full_like(fixed, -1000.0)}
loss = LocalNormalizedCrossCorrelationLoss(spatial_dims=3, kernel_size=9)


def measure(image, unit, dtype):
    of = [torch.from_numpy((one + 1024) / 2048 if unit else one)[None, None].to(dtype) for one in (image, fixed)]
    return float(loss(*of))


seen, best = [], {}
for name, unit, dtype in (("HU", 0, torch.float32), ("0..1", 1, torch.float32), ("HU in double", 0, torch.float64)):
    values = {place: measure(image, unit, dtype) for place, image in moved.items()}
    best[name] = min(values, key=values.get), min(values.values()) < -1.1
    seen.append(f"{name}: " + ", ".join(f"{place} {value:.3g}" for place, value in values.items()))
line = "; ".join(seen)
print(line)
right = best["0..1"] == best["HU in double"] == ("itself", False)
sys.exit(0 if right and best["HU"][1] and best["HU"][0] != "itself" else "this has changed")
PYTHON
