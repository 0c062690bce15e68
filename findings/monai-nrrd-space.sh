#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, pynrrd 1.1.3, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: MONAI's NrrdReader takes every space but left-posterior-superior for right-anterior-superior. A file in
# left-anterior-superior, which the format has as well, is mirrored: left and right are exchanged. SimpleITK places it
# right.
# Expected: the place that the header gives, or an error.
# Seen: "a voxel 10 mm to the left: MONAI 10 mm to the right, SimpleITK 10 mm to the left; in left-posterior-superior
# both left"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 pynrrd==1.1.3 SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nrrd
import numpy as np
import SimpleITK as sitk
from monai.transforms import LoadImage


def sides(space):
    """Return, by MONAI and by SimpleITK, the side of the first voxel, whose first coordinate, to the left, is 10."""
    header = {"space": space, "space directions": np.diag([2.0, 2.0, 3.0]), "space origin": [10, 0, 0]}
    nrrd.write("volume.nrrd", np.zeros((4, 5, 6), np.float32), header)
    right = float(LoadImage(image_only=True, reader="NrrdReader")("volume.nrrd").affine[0, 3])  # MONAI: x to the right
    left = sitk.ReadImage("volume.nrrd").GetOrigin()[0]  # ITK: x to the left
    return ["left" if value > 0 else "right" for value in (-right, left)]


usual, other = sides("left-posterior-superior"), sides("left-anterior-superior")
print(
    f"a voxel 10 mm to the left: MONAI 10 mm to the {other[0]}, SimpleITK 10 mm to the {other[1]}; "
    f"in left-posterior-superior both {usual[0]}"
)
sys.exit((usual, other) != (["left", "left"], ["right", "left"]))
PYTHON
