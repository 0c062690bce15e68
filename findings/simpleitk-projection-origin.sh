#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4).
# Behaviour: a projection along x, y or z (MaximumProjection, MeanProjection and others alike) is one voxel as thick as
# the whole image, but does not lie where the image lies: its origin moves by half of (the number of the axis - 1)
# voxels, where (the size - 1) is meant. Along x, 0 - 1 is 4,294,967,295: the projection lies 4,295 km aside, or 1,503
# km at voxels of 0.7 mm. Along y it stays at the first voxel, along z half a voxel from there. Shown over its image, or
# resampled to another one, it is not met. The documentation says nothing of the place.
# Expected: the centre of the projection at the centre of the image.
# Seen: "maximum along x 4294967232.0 of 128 mm, y -63.0 of 128 mm, z -62.0 of 128 mm; mean along x 4294967232.0 of 128
# mm, y -63.0 of 128 mm, z -62.0 of 128 mm; maximum along x 1503238531.2 of 45 mm, y -22.0 of 45 mm, z -155.0 of 320 mm;
# mean along x 1503238531.2 of 45 mm, y -22.0 of 45 mm, z -155.0 of 320 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7
"$place/env/bin/python" - <<'PYTHON'
import sys

import SimpleITK as sitk


def centre(image):
    return image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()])


seen = []
for spacing in ((2.0, 2.0, 2.0), (0.7, 0.7, 5.0)):
    image = sitk.Image(64, 64, 64, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin([-31.5 * step for step in spacing])  # centre at (0, 0, 0)
    if any(abs(place) > 1e-9 for place in centre(image)):
        sys.exit("the image is not where it was put")
    for name, project in (("maximum", sitk.MaximumProjection), ("mean", sitk.MeanProjection)):
        places = [centre(project(image, axis))[axis] for axis in range(3)]
        thick = [project(image, axis).GetSpacing()[axis] for axis in range(3)]
        said = ", ".join(f"{axis} {place:.1f} of {size:.0f} mm" for axis, place, size in zip("xyz", places, thick))
        seen.append(f"{name} along {said}")
line = "; ".join(seen)
print(line)
expected = (
    "maximum along x 4294967232.0 of 128 mm, y -63.0 of 128 mm, z -62.0 of 128 mm; mean along x 4294967232.0 "
    "of 128 mm, y -63.0 of 128 mm, z -62.0 of 128 mm; maximum along x 1503238531.2 of 45 mm, y -22.0 of 45 mm,"
    " z -155.0 of 320 mm; mean along x 1503238531.2 of 45 mm, y -22.0 of 45 mm, z -155.0 of 320 mm"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
