#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scipy 1.17.1.
# Behaviour: the surface distance of two discs differs between a slice (rows, columns) and the same slice as a volume of one
# slice: there every voxel touches the volume's end, so that the whole disc is its surface and the inside counts as distance 0.
# Expected: the same distance, or an error.
# Seen: "mean surface distance of two discs 4 pixels apart: as a slice 2.37, as a volume of one slice 0.35"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import compute_average_surface_distance

rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
one, other = ((rows - 32) ** 2 + (columns - middle) ** 2 < 15**2 for middle in (28, 32))
slices = [disc[None, None].float() for disc in (one, other)]
volumes = [disc[:, :, None] for disc in slices]  # one slice
flat, deep = (
    float(compute_average_surface_distance(*pair, include_background=True, symmetric=True)) for pair in (slices, volumes)
)
print(f"mean surface distance of two discs 4 pixels apart: as a slice {flat:.2f}, as a volume of one slice {deep:.2f}")
sys.exit(not flat > 3 * deep > 0)
PYTHON
