#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: RandomElasticDeformation by its default, locked_borders=2, moves nothing at the sides, the front and the
# back of an image. At its first and last slices all control points move: the loop sets the borders of two axes of three
# to 0.
# Expected: "Displacement of control points at the border of the image will also be set to 0" (its documentation).
# Seen: "control points at the borders of the three axes move by [0.0, 0.0, 7.5] mm at most; the first sagittal plane of
# voxels moves by 0.6 mm in the mean, the first axial one by 2.0 mm"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
import torch
import torchio as tio

torch.manual_seed(0)
random = tio.RandomElasticDeformation()
points = random.get_params(random.num_control_points, random.max_displacement, random.num_locked_borders)
deformation = tio.ElasticDeformation(points, random.max_displacement)
volume = tio.ScalarImage(tensor=torch.zeros(1, 64, 64, 64)).as_sitk()
field = sitk.TransformToDisplacementField(
    deformation.get_bspline_transform(volume), size=volume.GetSize(), outputOrigin=volume.GetOrigin(),
    outputSpacing=volume.GetSpacing(), outputDirection=volume.GetDirection(),
)  # fmt: skip
moved = np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1).T  # (x, y, z) mm
borders = [round(float(np.abs(np.take(points, [0, 1, -2, -1], axis=axis)).max()), 1) for axis in range(3)]
side, first = float(moved[0, 8:-8, 8:-8].mean()), float(moved[8:-8, 8:-8, 0].mean())
print(
    f"control points at the borders of the three axes move by {borders} mm at most; the first sagittal plane of voxels "
    f"moves by {side:.1f} mm in the mean, the first axial one by {first:.1f} mm"
)
sys.exit(not (borders[:2] == [0, 0] and borders[2] > 7 and first > 2 * side))
PYTHON
