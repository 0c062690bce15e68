#!/usr/bin/env bash
# nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: a NIfTI file with sform and qform codes 0 (method 1 of the standard: only pixdim counts, no orientation).
# nibabel assumes radiological storage (x mirrored) about the centre of the grid; SimpleITK puts voxel 0 at the origin with
# both in-plane axes mirrored. The same voxel lies at points mirrored in x against each other, and shifted: a mask saved
# by one and an image read by the other do not meet.
# Expected: the same point.
# Seen: "voxel (1, 1, 1) is at (1.0, -3.0, -6.0) in nibabel, at (-2.0, -3.0, 4.0) in SimpleITK (mm, RAS)"
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

image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.float32), None)
image.header.set_sform(None, 0)
image.header.set_qform(None, 0)
image.header.set_zooms((2, 3, 4))
nibabel.save(image, "codes.nii")
one = tuple(float(x) for x in (nibabel.load("codes.nii").affine @ [1, 1, 1, 1])[:3])
x, y, z = sitk.ReadImage("codes.nii").TransformIndexToPhysicalPoint((1, 1, 1))
other = (-x, -y, z)  # ITK's space is LPS
print(f"voxel (1, 1, 1) is at {one} in nibabel, at {other} in SimpleITK (mm, RAS)")
sys.exit((one, other) != ((1.0, -3.0, -6.0), (-2.0, -3.0, 4.0)))
PYTHON
