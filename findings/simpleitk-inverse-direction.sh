#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6.
# Behaviour: InverseDisplacementField of a shift by 3 mm is -3 mm only on a grid whose axes are x, y and z. On the same
# region with the direction of a NIfTI file in right-anterior-superior order it is near twice as much, or anything, by
# the place, though the result bears the right direction: places of voxels are computed without it.
# InvertDisplacementField and IterativeInverseDisplacementField, whose names differ by a syllable, give -3 mm on every
# grid. The documentation does not mention the direction.
# Expected: -3 mm everywhere.
# Seen: "axial: Inverse -3.0 mm, Invert -3.0 mm, IterativeInverse -3.0 mm; RAS: Inverse -5.8 mm, Invert -3.0 mm,
# IterativeInverse -3.0 mm; sagittal: Inverse -6.0 mm, Invert -3.0 mm, IterativeInverse -3.0 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

SIZE, SPACING = 32, 2.0
DIRECTIONS = {
    "axial": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "RAS": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "sagittal": (0, 0, 1, 1, 0, 0, 0, -1, 0),
}
shift = sitk.TranslationTransform(3, (3.0, 0.0, 0.0))
seen = []
for grid, direction in DIRECTIONS.items():
    origin = -np.reshape(direction, (3, 3)) @ np.full(3, SPACING * (SIZE - 1) / 2)
    field = sitk.TransformToDisplacementField(
        shift, sitk.sitkVectorFloat64, (SIZE,) * 3, origin.tolist(), (SPACING,) * 3, direction
    )
    inverses = {
        "Inverse": sitk.InverseDisplacementField(field, (SIZE,) * 3, field.GetOrigin(), field.GetSpacing()),
        "Invert": sitk.InvertDisplacementField(field),
        "IterativeInverse": sitk.IterativeInverseDisplacementField(field),
    }
    values = {name: inverse[SIZE // 2, SIZE // 2, SIZE // 2][0] for name, inverse in inverses.items()}
    if inverses["Inverse"].GetDirection() != field.GetDirection():
        sys.exit("the inverse has another direction")
    seen.append(f"{grid}: " + ", ".join(f"{name} {value:.1f} mm" for name, value in values.items()))
line = "; ".join(seen)
print(line)
expected = (
    "axial: Inverse -3.0 mm, Invert -3.0 mm, IterativeInverse -3.0 mm; RAS: Inverse -5.8 mm, Invert -3.0 mm, "
    "IterativeInverse -3.0 mm; sagittal: Inverse -6.0 mm, Invert -3.0 mm, IterativeInverse -3.0 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
