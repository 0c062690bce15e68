#!/usr/bin/env bash
# nilabels 0.0.8, nibabel 4.0.2, numpy 1.23.5, scipy 1.9.3.
# Behaviour: distances in mm take the diagonal of the affine for the size of voxels. In a sagittal or coronal image,
# whose axes are permuted, it is 0, and so is the Hausdorff distance of two outlines that lie apart; in an oblique one
# it is too short. `box_sides_length` has the sides of a lesion from the same numbers.
# Expected: 20 mm in every orientation, the number of voxels times nibabel's voxel_sizes.
# Seen: "Hausdorff distance in mm of two outlines 20 mm apart: axial 20.0; sagittal 0.0; turned by 40 degrees 15.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nilabels==0.0.8 nibabel==4.0.2 numpy==1.23.5 \
    scipy==1.9.3 pandas==1.5.3 scikit-image==0.20.0 scikit-learn==1.2.2 matplotlib==3.7.5 sympy==1.13.3
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import nibabel
import numpy as np
from nilabels.tools.caliber.distances import hausdorff_distance

mask, shifted = np.zeros((2, 40, 40, 40), np.uint8)
mask[10:20, 10:20, 10:20] = 1
shifted[20:30, 10:20, 10:20] = 1
axial = np.eye(3) * 2
sagittal = np.array([[0, 0, 2], [2, 0, 0], [0, 2, 0]])
turn = np.radians(40)
oblique = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) * 2


def distance(axes):
    """Return the Hausdorff distance in mm of two outlines 10 voxels of 2 mm apart."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    images = [nibabel.Nifti1Image(array, affine) for array in (mask, shifted)]
    return f"{hausdorff_distance(*images, [1], ['organ'], verbose=0)['organ']:.1f}"


line = (
    f"Hausdorff distance in mm of two outlines 20 mm apart: axial {distance(axial)}; sagittal {distance(sagittal)}; "
    f"turned by 40 degrees {distance(oblique)}"
)
print(line)
expected = "Hausdorff distance in mm of two outlines 20 mm apart: axial 20.0; sagittal 0.0; turned by 40 degrees 15.3"
sys.exit(0 if line == expected else "this has changed")
PYTHON
