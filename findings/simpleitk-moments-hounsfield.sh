#!/usr/bin/env bash
# SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: CenteredTransformInitializer with MOMENTS weighs each voxel by its value, and values of a CT are mostly
# negative: air has the largest weight. A body that lies 10 mm further to the left is met by a shift of 0.3 mm to the
# right, and where the air is only a little negative the result is as wrong. Nothing is said of negative weights. The
# same images with air at 0 give 10 mm.
# Expected: a shift towards the other body, or an error for weights that are negative.
# Seen: "true shift 10.0 mm; air at 0: 10.0; air at -1000: -0.3; air at -24: -0.8"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

SIZE, RADIUS, SHIFT = 64, 12, 10.0


def body(left, inside, outside):
    """Return a ball in air, its centre ``left`` mm from the corner."""
    z, y, x = np.mgrid[:SIZE, :SIZE, :SIZE]
    within = (z - 32) ** 2 + (y - 32) ** 2 + (x - left) ** 2 < RADIUS**2
    return sitk.GetImageFromArray(np.where(within, inside, outside).astype(np.float32))


def found(inside, outside):
    """Return the shift along the first axis that the initialiser gives for two images ``SHIFT`` mm apart."""
    start = sitk.CenteredTransformInitializer(
        body(32, inside, outside),
        body(32 + SHIFT, inside, outside),
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    return round(start.Downcast().GetTranslation()[0], 1)


shifts = {air: found(inside, air) for inside, air in ((1000, 0), (40, -1000), (40, -24))}
print(f"true shift {SHIFT} mm; " + "; ".join(f"air at {air}: {shift}" for air, shift in shifts.items()))
sys.exit(shifts != {0: 10.0, -1000: -0.3, -24: -0.8})
PYTHON
