#!/usr/bin/env bash
# nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: a NIfTI file whose header says that lengths are in micrometres is read in millimetres by SimpleITK, and
# with the bare numbers by nibabel, whose affine has no unit: the same voxel is 1000 times as large, and a volume a
# thousand million times.
# Expected: one size, or an affine that says its unit.
# Seen: "voxels of 500 micrometres: nibabel 500, SimpleITK 0.5; origin nibabel 9000, SimpleITK 9"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

affine = np.diag([500.0, 500.0, 500.0, 1.0])
affine[2, 3] = 9000
made = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine)
made.header.set_xyzt_units("micron")
nibabel.save(made, "small.nii")
one, other = nibabel.load("small.nii"), sitk.ReadImage("small.nii")
sizes = float(one.header.get_zooms()[0]), other.GetSpacing()[0]
origins = float(one.affine[2, 3]), other.GetOrigin()[2]
print(
    f"voxels of 500 micrometres: nibabel {sizes[0]:g}, SimpleITK {sizes[1]:g}; "
    f"origin nibabel {origins[0]:g}, SimpleITK {origins[1]:g}"
)
sys.exit(not np.allclose((*sizes, *origins), (500, 0.5, 9000, 9)))
PYTHON
