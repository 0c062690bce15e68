#!/usr/bin/env bash
# SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: N4BiasFieldCorrectionImageFilter takes only the voxels of its mask that are 1. With a mask of 0 and 255 (or a
# label map whose tissue is 2) it finds no voxel, corrects nothing, and returns the image bit for bit as it was, without
# an error or a warning; SetMaskLabel and UseMaskLabelOff are there for those who know. ITK's own filter takes every mask
# voxel above 0 unless it is told a label; SimpleITK tells it 1.
# Expected: the voxels above 0, or an error where the mask selects none.
# Seen: "spread of one tissue: before 15.1 %, mask of 1 1.0 %, mask of 2 15.1 %, mask of 255 15.1 % (same image: yes), no
# mask 1.2 %"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

side = 32
places = np.indices((side,) * 3)
inside = ((places - 15.5) ** 2).sum(axis=0) <= 13**2
bright = inside & (places[0] % 8 < 4)
image = np.where(inside, np.where(bright, 140, 100), 2) + np.random.default_rng(0).normal(0, 1, (side,) * 3)
image = (image * np.exp(0.4 * np.linspace(-1, 1, side))).astype(np.float32)
correction = sitk.N4BiasFieldCorrectionImageFilter()
correction.SetMaximumNumberOfIterations([30, 30])


def corrected(value):
    masks = [sitk.GetImageFromArray((inside * value).astype(np.uint8))] if value else []
    return sitk.GetArrayFromImage(correction.Execute(sitk.GetImageFromArray(image), *masks))


def spread(values):
    """Return the coefficient of variation in the bright tissue, in per cent."""
    return 100 * values[bright].std() / values[bright].mean()


ones, twos, high, free = (corrected(value) for value in (1, 2, 255, None))
same = np.array_equal(high, image)
print(
    f"spread of one tissue: before {spread(image):.1f} %, mask of 1 {spread(ones):.1f} %, mask of 2 {spread(twos):.1f} %, "
    f"mask of 255 {spread(high):.1f} % (same image: {'yes' if same else 'no'}), no mask {spread(free):.1f} %"
)
sys.exit(not (spread(image) > 10 and spread(ones) < 3 and spread(free) < 3 and same and np.array_equal(twos, image)))
PYTHON
