#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: read_matrix of an affine transform of ITK, as SimpleITK and elastix write it, takes matrix and translation
# and leaves the centre of rotation out, which every registration that begins from the images' middles has. Applied by
# pre_affine_name, as its documentation shows, an image lies beside the one it was registered to.
# Expected: The point that the transform maps: ITK's affine is T(x) = A (x - c) + t + c. "Would also work with e.g. .tfm
# from SimpleITK" (documentation of Resample).
# Seen: "a registration about a centre at 0 and at 100 mm, read: a point lies 0.0 and 17.4 mm off"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import tempfile

import numpy as np
import SimpleITK as sitk
import torchio as tio

nod = sitk.Euler3DTransform()
nod.SetRotation(float(np.radians(10)), 0.0, 0.0)
errors = []
for centre in (0.0, 100.0):  # mm
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(nod.GetMatrix())
    affine.SetCenter((0.0, 0.0, centre))
    with tempfile.TemporaryDirectory() as folder:
        sitk.WriteTransform(affine, f"{folder}/registration.tfm")
        matrix = tio.io.read_matrix(f"{folder}/registration.tfm").numpy()  # from floating to fixed, RAS
    point = np.array([0.0, 0.0, 120.0])
    there = np.array(affine.TransformPoint(point.tolist()))  # from fixed to floating, LPS
    back = matrix @ np.append(there * [-1, -1, 1], 1)
    errors.append(float(np.linalg.norm(back[:3] * [-1, -1, 1] - point)))
near, far = errors
print(f"a registration about a centre at 0 and at 100 mm, read: a point lies {near:.1f} and {far:.1f} mm off")
sys.exit(not (errors[0] < 0.01 and abs(errors[1] - 17.4) < 0.1))
PYTHON
