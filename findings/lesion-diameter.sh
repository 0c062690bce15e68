#!/usr/bin/env bash
# SimpleITK 2.5.7, scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: the largest diameter of one lesion, ten voxels of 2 mm in a row, is 0, 18, 20 or 23 mm. SimpleITK's
# LabelShapeStatisticsImageFilter answers 0.0 until ComputeFeretDiameterOn was called, and says nothing; then it measures
# between the centres of voxels, so that a lesion of one voxel has no extent. scikit-image measures between their edges,
# and its axis_major_length is that of an ellipse with the same moments. In a volume, scikit-image cannot measure a lesion
# that lies in one slice (ValueError), and says that its solidity, the part of its convex hull that it fills, is infinite.
# Expected: one definition, or an error where the diameter was not computed; a solidity of at most 1.
# Seen: "SimpleITK 0.0, switched on 18.0; scikit-image 20.0, major axis 23.0; one voxel 0.0 and 2.0; one slice of a volume:
# ValueError, solidity inf"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 scikit-image==0.26.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from skimage.measure import regionprops

SPACING = (2.0, 0.5)  # mm between rows, and between columns
row, voxel = np.zeros((2, 20, 20), np.uint8)
row[5:15, 8] = 1
voxel[5, 8] = 1


def of_itk(mask, switched_on):
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing(SPACING[::-1])
    shapes = sitk.LabelShapeStatisticsImageFilter()
    if switched_on:
        shapes.ComputeFeretDiameterOn()
    shapes.Execute(image)
    return round(shapes.GetFeretDiameter(1), 1)


def of_skimage(mask, spacing=SPACING):
    (lesion,) = regionprops(mask, spacing=spacing)
    return lesion


slice_of_volume = np.zeros((5, 20, 20), np.uint8)
slice_of_volume[2, 5:15, 5:15] = 1
flat = of_skimage(slice_of_volume, (5.0, 1.0, 1.0))
try:
    refused = str(flat.feret_diameter_max)
except ValueError:
    refused = "ValueError"
seen = (
    f"SimpleITK {of_itk(row, False)}, switched on {of_itk(row, True)}; "
    f"scikit-image {of_skimage(row).feret_diameter_max:.1f}, major axis {of_skimage(row).axis_major_length:.1f}; "
    f"one voxel {of_itk(voxel, True)} and {of_skimage(voxel).feret_diameter_max:.1f}; "
    f"one slice of a volume: {refused}, solidity {flat.solidity}"
)
print(seen)
sys.exit(
    seen != "SimpleITK 0.0, switched on 18.0; scikit-image 20.0, major axis 23.0; one voxel 0.0 and 2.0; "
    "one slice of a volume: ValueError, solidity inf"
)
PYTHON
