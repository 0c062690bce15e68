#!/usr/bin/env bash
# SimpleITK 2.5.7.
# Behaviour: Tile, asked to put two slabs of a scan on one another, takes over origin and spacing of the first and
# leaves out its direction. On the grid of a NIfTI file in right-anterior-superior order, the voxel that was 30 mm to
# the right and 30 mm in front of the origin lies 30 mm to the left and behind it afterwards. JoinSeries, Paste and the
# padding filters keep the direction; the documentation says nothing of it.
# Expected: the direction of the inputs, which is the same for both.
# Seen: "the marked voxel lies at (-30, -30, 0), in the tiled image at (30, 30, 0)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7
"$place/env/bin/python" - <<'PYTHON'
import sys

import SimpleITK as sitk

scan = sitk.Image(16, 16, 8, sitk.sitkInt16)
scan.SetSpacing((2.0, 2.0, 3.0))
scan.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
scan[15, 15, 0] = 1000


def place_of(image):
    """Of the marked voxel, in mm."""
    return tuple(round(value) for value in image.TransformIndexToPhysicalPoint((15, 15, 0)))


lower, upper = scan[:, :, :4], scan[:, :, 4:]
tiled = sitk.Tile([lower, upper], (1, 1, 2))
if tiled.GetSize() != scan.GetSize() or tiled[15, 15, 0] != 1000 or tiled.GetSpacing() != scan.GetSpacing():
    sys.exit("the slabs are put together in another way")
line = f"the marked voxel lies at {place_of(scan)}, in the tiled image at {place_of(tiled)}"
print(line)
expected = "the marked voxel lies at (-30, -30, 0), in the tiled image at (30, 30, 0)"
sys.exit(0 if line == expected else "this has changed")
PYTHON
