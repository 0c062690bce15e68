#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6.
# Behaviour: DisplacementFieldJacobianDeterminant, by which growth and shrinkage are measured after a registration,
# differentiates vectors in physical space along the axes of the voxels, and leaves the direction of the image out. For
# axes along x, y and z the result is right. For the same transform sampled on the grid that a NIfTI file in
# right-anterior-superior order has, a growth by 73 % is a shrinkage by 23 %; for a sagittal or turned grid it is
# another number, and a rotation, which changes no volume, has 1.18, 0.70 or 0.73. The documentation says that
# derivatives are taken "in world coordinates", and does not mention the direction.
# Expected: 1.728 and 1.000 on every grid: the transform is the same at the same point.
# Seen: "growth to 1.728: axial 1.728, RAS 0.768, sagittal 0.992, turned 1.669; rotation: axial 1.000, RAS 1.179,
# sagittal 0.704, turned 0.728"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import math
import sys

import numpy as np
import SimpleITK as sitk

SIZE, SPACING = 32, 2.0
cosine, sine = math.cos(0.5), math.sin(0.5)
DIRECTIONS = {
    "axial": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "RAS": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "sagittal": (0, 0, 1, 1, 0, 0, 0, -1, 0),
    "turned": (cosine, -sine, 0, sine, cosine, 0, 0, 0, 1),
}
growth = sitk.AffineTransform(3)
growth.SetMatrix((1.2, 0, 0, 0, 1.2, 0, 0, 0, 1.2))
rotation = sitk.Euler3DTransform((0, 0, 0), 0, 0, 0.3)


def determinant(transform, direction):
    """At the middle voxel of a grid round the origin."""
    origin = -np.reshape(direction, (3, 3)) @ np.full(3, SPACING * (SIZE - 1) / 2)
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, (SIZE,) * 3, origin.tolist(), (SPACING,) * 3, direction
    )
    return sitk.DisplacementFieldJacobianDeterminant(field)[SIZE // 2, SIZE // 2, SIZE // 2]


line = "; ".join(
    f"{name}: " + ", ".join(f"{grid} {determinant(transform, direction):.3f}" for grid, direction in DIRECTIONS.items())
    for name, transform in (("growth to 1.728", growth), ("rotation", rotation))
)
print(line)
expected = (
    "growth to 1.728: axial 1.728, RAS 0.768, sagittal 0.992, turned 1.669; rotation: axial 1.000, RAS 1.179, "
    "sagittal 0.704, turned 0.728"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
