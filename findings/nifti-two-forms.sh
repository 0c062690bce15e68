#!/usr/bin/env bash
# nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: a NIfTI file states its place twice, as the scanner's (qform) and, after a registration, as a template's
# (sform, codes 2 to 4). nibabel, MONAI and most of Python take the sform, SimpleITK the qform, unless the sform is the
# scanner's as well (code 1): the same voxel is elsewhere. A mask made with one and an image read with the other do not
# meet. Neither warns.
# Expected: one place.
# Seen: "a voxel of a file moved by 40 mm onto a template: nibabel 45.0, SimpleITK 5.0; sform code 1: 45.0 and 45.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

scanner, template = np.eye(4), np.eye(4)
scanner[:3, 3], template[:3, 3] = 2, 42


def places(code):
    """Return where voxel (3, 3, 3) lies along x, in mm towards the right: by nibabel and by SimpleITK."""
    made = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), None)
    made.set_qform(scanner, 1)
    made.set_sform(template, code)
    nibabel.save(made, "a.nii")
    right = (nibabel.load("a.nii").affine @ [3, 3, 3, 1])[0]
    return float(right), -sitk.ReadImage("a.nii").TransformIndexToPhysicalPoint((3, 3, 3))[0]


codes = {code: places(code) for code in (1, 2, 3, 4)}
print(
    f"a voxel of a file moved by 40 mm onto a template: nibabel {codes[2][0]:.1f}, SimpleITK {codes[2][1]:.1f}; "
    f"sform code 1: {codes[1][0]:.1f} and {codes[1][1]:.1f}"
)
sys.exit(not (codes[1] == (45, 45) and all(codes[code] == (45, 5) for code in (2, 3, 4))))
PYTHON
