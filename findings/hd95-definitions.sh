#!/usr/bin/env bash
# MONAI 1.6.1, MedPy 0.5.2, surface-distance 0.1, torch 2.13.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the 95th percentile of the Hausdorff distance of the same two masks is three numbers. MONAI takes the
# larger of the two directions' percentiles, MedPy the percentile of both directions' distances together, so that a
# false piece on one side is diluted by the other's surface, and surface-distance weights each piece of surface by its
# area. The largest distance is the same in all three.
# Expected: one number, as for the distance of 100 %.
# Seen: "a cube with a false spike: hd95 MONAI 4.0, MedPy 0.0, surface-distance 6.0; by hand 4.0 and 0.0; hd100 10, 10,
# 10"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 MedPy==0.5.2 surface-distance==0.1 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import surface_distance
import torch
from medpy.metric import binary
from monai.metrics import compute_hausdorff_distance
from scipy.ndimage import binary_erosion, distance_transform_edt

reference = np.zeros((40, 40, 20), bool)
reference[10:20, 10:20, 5:15] = True
found = reference.copy()
found[20:30, 14:16, 9:11] = True


def by_hand():
    """Return the larger of the two percentiles, and the percentile of all."""
    edges = [mask & ~binary_erosion(mask) for mask in (reference, found)]
    there = distance_transform_edt(~edges[1])[edges[0]]
    back = distance_transform_edt(~edges[0])[edges[1]]
    return max(np.percentile(there, 95), np.percentile(back, 95)), np.percentile(np.hstack([there, back]), 95)


def monai(percentile):
    pair = (torch.tensor(mask[None, None]).float() for mask in (found, reference))
    return float(compute_hausdorff_distance(*pair, include_background=True, percentile=percentile))


pieces = surface_distance.compute_surface_distances(reference, found, (1, 1, 1))
three = monai(95), float(binary.hd95(found, reference)), float(surface_distance.compute_robust_hausdorff(pieces, 95))
whole = monai(None), float(binary.hd(found, reference)), float(surface_distance.compute_robust_hausdorff(pieces, 100))
larger, pooled = by_hand()
print(
    f"a cube with a false spike: hd95 MONAI {three[0]:.1f}, MedPy {three[1]:.1f}, surface-distance {three[2]:.1f}; "
    f"by hand {larger:.1f} and {pooled:.1f}; hd100 " + ", ".join(f"{value:.0f}" for value in whole)
)
sys.exit(not (np.allclose(three, (larger, pooled, 6), atol=0.01) and larger > 3 and pooled < 0.1 and np.allclose(whole, 10)))
PYTHON
