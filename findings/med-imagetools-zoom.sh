#!/usr/bin/env bash
# med-imagetools 2.16.0, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: zoom by 2 halves what is in the image, and by 0.5 doubles it: the factor goes into a transform that maps
# places of the new image to places of the old one. Its centre is a corner between voxels for an image of an odd size,
# so that what lies in the middle moves. Nothing warns.
# Expected: a lesion of 5 voxels is 10 after a zoom by 2 and about 3 after one by 0.5, and stays in the middle.
# Seen: "width of a lesion of 5.0 voxels: 2.5 after a zoom by 2, 10.0 by 0.5; its middle at 10.0 goes to 10.2 and 9.5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check med-imagetools==2.16.0 SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from imgtools.transforms.functional import zoom

lesion = np.zeros((21, 21, 21), np.float32)
lesion[8:13, 8:13, 8:13] = 1


def width_and_middle(factor):
    made = sitk.GetArrayFromImage(zoom(sitk.GetImageFromArray(lesion), factor))
    middle = np.average(np.arange(21), weights=made.sum(axis=(0, 1)))
    return made.sum() ** (1 / 3), middle


(before, at), (twice, here), (half, there) = (width_and_middle(factor) for factor in (1.0, 2.0, 0.5))
line = (
    f"width of a lesion of {before:.1f} voxels: {twice:.1f} after a zoom by 2, {half:.1f} by 0.5; "
    f"its middle at {at:.1f} goes to {here:.1f} and {there:.1f}"
)
print(line)
expected = (
    "width of a lesion of 5.0 voxels: 2.5 after a zoom by 2, 10.0 by 0.5; its middle at 10.0 goes to 10.2 and 9.5"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
