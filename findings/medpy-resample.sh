#!/usr/bin/env bash
# MedPy 0.5.2, SimpleITK 2.5.7, scipy 1.17.1, numpy 2.4.6.
# Behaviour: medpy.filter.image.resample lays first voxel on first and last on last, and then writes the spacing that
# was asked for: 24 slices of 3 mm become 72 slices of 1 mm, of which the last lies 71 mm from the first, as the header
# says, and shows what was at 69 mm. It changes the header that was handed in, too, so that a second image resampled
# with it is taken for one of 1 mm.
# Expected: each place where it was, or a spacing of 69/71 mm; the old header as it was.
# Seen: "a spot at 60.0 mm is at 61.7 mm afterwards (SimpleITK: 60.0); spacing in the old header: 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check MedPy==0.5.2 SimpleITK==2.5.7 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from medpy.filter.image import resample
from medpy.io.header import Header

volume = np.zeros((12, 12, 24), np.float32)
volume[4:8, 4:8, 20] = 1  # at 60 mm


def middle(slices, spacing):
    weights = np.clip(slices, 0, None).sum(axis=(0, 1))
    return float((np.arange(len(weights)) * spacing * weights).sum() / weights.sum())


header = Header(spacing=(1, 1, 3), offset=(0, 0, 0))
fine, after = resample(volume, header, (1, 1, 1), bspline_order=1)
moved = middle(fine, after.get_voxel_spacing()[2])
image = sitk.GetImageFromArray(volume.transpose(2, 1, 0))
image.SetSpacing((1, 1, 3))
other = sitk.Resample(image, (12, 12, 72), sitk.Transform(), sitk.sitkLinear, (0, 0, 0), (1, 1, 1), image.GetDirection())
kept = middle(sitk.GetArrayFromImage(other).transpose(2, 1, 0), 1)
old = header.get_voxel_spacing()[2]
print(
    f"a spot at 60.0 mm is at {moved:.1f} mm afterwards (SimpleITK: {kept:.1f}); spacing in the old header: {old:g}"
)
sys.exit(not (fine.shape == (12, 12, 72) and 61.5 < moved < 62 and abs(kept - 60) < 0.01 and old == 1))
PYTHON
