#!/usr/bin/env bash
# picsl-c3d 1.4.6.0 (Convert3D, by the authors of ITK-SNAP), nibabel 5.4.2, numpy 2.4.6.
# Behaviour: `-overlap` compares voxels by their index and ignores where the images lie: a mask and its copy 50 mm aside,
# or mirrored left to right, have a Dice of 1. `-add` of the same two images is refused since they are not in the same
# place.
# Expected: a Dice of 0 (after -reslice-identity, c3d's own way to bring one to the other's grid, it is), or the refusal.
# Seen: "Dice of a mask and its copy 50 mm aside 1, mirrored 1, resliced 0; -add refused"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check picsl-c3d==1.4.6.0 nibabel==5.4.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import io
import sys

import nibabel
import numpy as np
from picsl_c3d import Convert3D

mask = np.zeros((20, 20, 20), np.uint8)
mask[2:8, 4:10, 6:12] = 1
here, aside, mirrored = np.eye(4), np.eye(4), np.diag([-1.0, 1, 1, 1])
aside[0, 3] = 50
for name, affine in (("here", here), ("aside", aside), ("mirrored", mirrored)):
    nibabel.save(nibabel.Nifti1Image(mask, affine), f"{name}.nii.gz")


def dice(command):
    said = io.StringIO()
    Convert3D().execute(f"{command} -overlap 1", out=said, err=said)
    return float(said.getvalue().split("OVL:")[1].split(",")[4])


moved, flipped = dice("here.nii.gz aside.nii.gz"), dice("here.nii.gz mirrored.nii.gz")
resliced = dice("here.nii.gz -popas grid -push grid -push grid aside.nii.gz -reslice-identity")
try:
    Convert3D().execute("here.nii.gz aside.nii.gz -add -o sum.nii.gz", out=io.StringIO(), err=io.StringIO())
    added = "done"
except RuntimeError:
    added = "refused"
print(
    f"Dice of a mask and its copy 50 mm aside {moved:g}, mirrored {flipped:g}, resliced {resliced:g}; -add {added}"
)
sys.exit(not (moved == flipped == 1 and resliced == 0 and added == "refused"))
PYTHON
