#!/usr/bin/env bash
# pyvista 0.49.1, vtk 9.7.2, nibabel 5.4.2, numpy 2.4.6.
# Behaviour: pyvista.read of a NIfTI file returns the stored numbers, without the slope and the intercept, and puts the
# image at 0, 0, 0 with axes along its voxels: a CT of -524 HU is 1000, and what lies 98 mm to one side of a patient is
# at 2 mm. Whether left is left in what is shown depends on how the file was stored. VTK's reader keeps both beside the
# image (RescaleSlope, QFormMatrix); pyvista uses neither and says nothing.
# Expected: stored value times slope plus intercept, at the place that the affine gives, as nibabel has it.
# Seen: "-524 HU at (98, 44, -8) by nibabel, 1000 at (2, 6, 12) by pyvista; the same image stored from left to right at
# (4, 6, 8)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyvista==0.49.1 vtk==9.7.2 nibabel==5.4.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
import pyvista

stored = np.zeros((4, 5, 6), np.int16)
stored[1, 2, 3] = 1000
from_right = np.array([[-2.0, 0, 0, 100], [0, -3, 0, 50], [0, 0, 4, -20], [0, 0, 0, 1]])  # x falls along a row
from_left = np.array([[2.0, 0, 0, 94], [0, -3, 0, 50], [0, 0, 4, -20], [0, 0, 0, 1]])


def by_nibabel(name):
    image = nibabel.load(name)
    values = image.get_fdata()
    index = np.unravel_index(values.argmax(), values.shape)
    return values.max(), nibabel.affines.apply_affine(image.affine, index)


def by_pyvista(name):
    image = pyvista.read(name)
    return image.active_scalars.max(), image.points[image.active_scalars.argmax()]


for name, values, affine in (("right.nii", stored, from_right), ("left.nii", stored[::-1], from_left)):
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_slope_inter(0.5, -1024)
    nibabel.save(image, name)


def place(point):
    return "({:g}, {:g}, {:g})".format(*point)


(value, point), (read, at) = by_nibabel("right.nii"), by_pyvista("right.nii")
same = np.allclose(point, by_nibabel("left.nii")[1])
line = (
    f"{value:g} HU at {place(point)} by nibabel, {read:g} at {place(at)} by pyvista; "
    f"the same image stored from left to right at {place(by_pyvista('left.nii')[1])}"
)
print(line)
expected = (
    "-524 HU at (98, 44, -8) by nibabel, 1000 at (2, 6, 12) by pyvista; the same image stored from left to right at "
    "(4, 6, 8)"
)
sys.exit(0 if same and line == expected else "this has changed")
PYTHON
