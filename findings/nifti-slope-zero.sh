#!/usr/bin/env bash
# nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: the NIfTI standard says that scl_slope 0 means "no scaling". With an intercept of 7 beside it nibabel leaves
# both out, SimpleITK takes the slope for 1 and adds the intercept: a CT kept with intercept -1024 and slope 0 is 1024
# Hounsfield units apart in the two.
# Expected: the same values.
# Seen: "a stored 1 is 1.0 in nibabel, 8.0 in SimpleITK"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), "plain.nii")
data = bytearray(Path("plain.nii").read_bytes())
data[112:120] = np.array([0, 7], "<f4").tobytes()  # scl_slope, scl_inter
Path("slope.nii").write_bytes(data)
one = float(nibabel.load("slope.nii").get_fdata().max())
other = float(sitk.GetArrayFromImage(sitk.ReadImage("slope.nii")).max())
print(f"a stored 1 is {one} in nibabel, {other} in SimpleITK")
sys.exit((one, other) != (1.0, 8.0))
PYTHON
