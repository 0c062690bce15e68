#!/usr/bin/env bash
# platipy 0.7.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: compute_metric_specificity cuts both outlines to the box around them unless told otherwise, which leaves no
# healthy voxels to be right about: a cube outlined two voxels too large has a specificity of 0, a cube outlined without
# an error has none (NaN), and a ball outlined two voxels too large has 0.58. The trueNegativeFraction of the same
# library counts the image. The box is an argument's default (auto_crop); what it does to the metric is not said.
# Expected: the share of voxels outside of the reference that the outline leaves out, 0.986 of this image.
# Seen: "a cube two voxels too large: specificity 0.000, without auto_crop 0.986, trueNegativeFraction 0.986; without an
# error: nan, 1.000; a ball two voxels too large: 0.580, 0.993"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check platipy==0.7.2 SimpleITK==2.5.7 pydicom==2.4.5 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from platipy.imaging.label.comparison import compute_metric_specificity, compute_volume_metrics

from_centre = np.abs(np.indices((50, 50, 50)) - 24.5)


def cube(half):
    return sitk.GetImageFromArray((from_centre.max(axis=0) < half).astype(np.uint8))


def ball(radius):
    return sitk.GetImageFromArray((np.sqrt((from_centre**2).sum(axis=0)) < radius).astype(np.uint8))


def both(reference, outline):
    return [compute_metric_specificity(reference, outline, auto_crop=crop) for crop in (True, False)]


large, right, round_one = both(cube(5), cube(7)), both(cube(5), cube(5)), both(ball(5), ball(7))
negative = compute_volume_metrics(cube(5), cube(7))["trueNegativeFraction"]
line = (
    f"a cube two voxels too large: specificity {large[0]:.3f}, without auto_crop {large[1]:.3f}, "
    f"trueNegativeFraction {negative:.3f}; without an error: {right[0]:.3f}, {right[1]:.3f}; "
    f"a ball two voxels too large: {round_one[0]:.3f}, {round_one[1]:.3f}"
)
print(line)
expected = (
    "a cube two voxels too large: specificity 0.000, without auto_crop 0.986, trueNegativeFraction 0.986; without an "
    "error: nan, 1.000; a ball two voxels too large: 0.580, 0.993"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
