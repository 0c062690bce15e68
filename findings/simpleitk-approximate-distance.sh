#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6.
# Behaviour: ApproximateSignedDistanceMap counts voxels, whatever the spacing, and has no option for millimetres, as
# SignedMaurerDistanceMap and SignedDanielssonDistanceMap have. In slices of 5 mm, a place 70 mm above a ball is at
# 12.5, one 6 mm beside it at 5.1. The documentation says "distance", and that it is an approximation.
# Expected: nearly 6 and 70, as SignedMaurerDistanceMap with useImageSpacing gives them.
# Seen: "slices of 1 mm, approximate: 5.1 beside, 5.1 above; slices of 1 mm, Maurer: 6.0 beside, 6.0 above; slices of 5
# mm, approximate: 5.1 beside, 12.5 above; slices of 5 mm, Maurer: 6.0 beside, 70.0 above"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

z, y, x = np.mgrid[-20:21, -20:21, -20:21]
seen = []
for spacing in ((1.0, 1.0, 1.0), (1.0, 1.0, 5.0)):
    ball = np.square(x * spacing[0]) + np.square(y * spacing[1]) + np.square(z * spacing[2]) <= 10**2
    image = sitk.GetImageFromArray(ball.astype(np.uint8))
    image.SetSpacing(spacing)
    maps = {
        "approximate": sitk.ApproximateSignedDistanceMap(image, 1, 0),
        "Maurer": sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True),
    }
    for name, distance in maps.items():
        beside, above = distance[36, 20, 20], distance[20, 20, 36]
        seen.append(f"slices of {spacing[2]:.0f} mm, {name}: {beside:.1f} beside, {above:.1f} above")
line = "; ".join(seen)
print(line)
expected = (
    "slices of 1 mm, approximate: 5.1 beside, 5.1 above; slices of 1 mm, Maurer: 6.0 beside, 6.0 above; slices"
    " of 5 mm, approximate: 5.1 beside, 12.5 above; slices of 5 mm, Maurer: 6.0 beside, 70.0 above"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
