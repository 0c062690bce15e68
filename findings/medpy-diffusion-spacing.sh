#!/usr/bin/env bash
# MedPy 0.5.2, SimpleITK 2.5.7, scipy 1.17.1, numpy 2.4.6.
# Behaviour: anisotropic_diffusion takes the distance between voxels into account once, for the gradient, and not for
# the divergence of the flow. Across slices of 5 mm it spreads 5 times as much variance as within them, and in voxels of
# 0.5 mm half as much as in those of 1 mm: of the same image resampled, edges and noise are smoothed by other lengths,
# and not alike in all directions.
# Expected: the same spread in mm along all axes and for all voxels, 3.0 mm here (root of twice the number of steps
# times gamma), where the contrast is far below kappa, so that the equation is that of heat.
# Seen: "spread in mm across and within slices (truth 3.0): voxels of 1, 1, 1 mm 3.0, 3.0, 3.0; of 5, 1, 1 mm 6.7, 3.0,
# 3.0; of 2, 0.7, 0.7 mm 4.2, 2.5, 2.5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check MedPy==0.5.2 SimpleITK==2.5.7 scipy==1.17.1 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from medpy.filter.smoothing import anisotropic_diffusion

STEPS, GAMMA = 90, 0.05


def spread(spacing_mm):
    """Return by how many mm a point is spread along each axis."""
    image = np.zeros((41, 61, 61))
    image[20, 30, 30] = 1
    smoothed = anisotropic_diffusion(image, niter=STEPS, kappa=1e6, gamma=GAMMA, voxelspacing=spacing_mm)
    widths = []
    for axis, spacing in enumerate(spacing_mm):
        profile = smoothed.sum(tuple({0, 1, 2} - {axis}), dtype=float)
        position = spacing * (np.arange(len(profile)) - len(profile) // 2)
        widths.append(f"{np.sqrt((profile * position**2).sum() / profile.sum()):.1f}")
    return ", ".join(widths)


line = (
    f"spread in mm across and within slices (truth {np.sqrt(2 * STEPS * GAMMA):.1f}): voxels of 1, 1, 1 mm "
    f"{spread((1.0, 1.0, 1.0))}; of 5, 1, 1 mm {spread((5.0, 1.0, 1.0))}; of 2, 0.7, 0.7 mm {spread((2.0, 0.7, 0.7))}"
)
print(line)
expected = (
    "spread in mm across and within slices (truth 3.0): voxels of 1, 1, 1 mm 3.0, 3.0, 3.0; of 5, 1, 1 mm 6.7, "
    "3.0, 3.0; of 2, 0.7, 0.7 mm 4.2, 2.5, 2.5"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
