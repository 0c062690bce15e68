#!/usr/bin/env bash
# nilabels 0.0.8, nibabel 4.0.2, numpy 1.23.5, scipy 1.9.3.
# Behaviour: the centroid of a label in mm is its voxel times the upper three columns of the affine: the origin is left
# out. A lesion 60 mm to the left of the scanner's centre is 150 mm to its left, and the same lesion in a cropped image,
# whose affine nibabel has adapted, is elsewhere. Distances between centroids of two images with different origins are
# wrong by as much.
# Expected: the point that nibabel's apply_affine has, the same one in the whole and in the cropped image.
# Seen: "centroid of a lesion at -60 -22 5 mm: -150 98 75; of the same one in a cropped image: -30 38 45"
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
from nibabel.affines import apply_affine
from nilabels.tools.caliber.distances import centroid

affine = np.array([[-1.5, 0, 0, 90], [0, 1.5, 0, -120], [0, 0, 3, -70], [0, 0, 0, 1.0]])
lesion = np.zeros((120, 160, 50), np.uint8)
lesion[98:103, 60:71, 20:31] = 1
whole = nibabel.Nifti1Image(lesion, affine)
cropped = whole.slicer[80:, 40:, 10:]


def point(numbers):
    return " ".join(f"{number:.0f}" for number in numbers)


truth = apply_affine(affine, np.argwhere(lesion).mean(0))
line = (
    f"centroid of a lesion at {point(truth)} mm: {point(centroid(whole, [1])[0])}; of the same one in a cropped image: "
    f"{point(centroid(cropped, [1])[0])}"
)
print(line)
expected = "centroid of a lesion at -60 -22 5 mm: -150 98 75; of the same one in a cropped image: -30 38 45"
sys.exit(0 if line == expected else "this has changed")
PYTHON
