#!/usr/bin/env bash
# antspyx 0.6.3, numpy 2.3.5.
# Behaviour: label_image_centroids, which documents "physical" as asking for coordinates in physical space, ignores it;
# and the indices that it gives are those of another voxel unless the image is a cube: it lists voxels in the order of
# Fortran and counts them in that of C, and runs along the third axis by the length of the second. In a cube they are
# right with the axes reversed. The centroid of a lesion lies up to 17 voxels from it.
# Expected: (2.5, 6.0, 22.0) in voxels, and (102.5, 212.0, 366.0) in mm, as get_center_of_mass says.
# Seen: "(10, 20, 30): voxels (2.0, 6.7, 5.0), physical (2.0, 6.7, 5.0), get_center_of_mass (102.5, 212.0, 366.0); (30,
# 30, 30): voxels (22.0, 6.0, 2.5), physical (22.0, 6.0, 2.5), get_center_of_mass (102.5, 212.0, 366.0)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check antspyx==0.6.3 numpy==2.3.5 pandas==2.3.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import ants
import numpy as np


def centroids(shape):
    mask = np.zeros(shape, np.float32)
    mask[2:4, 5:8, 20:25] = 1  # centre (2.5, 6, 22)
    image = ants.from_numpy(mask, origin=[100.0, 200.0, 300.0], spacing=[1.0, 2.0, 3.0])
    found = [ants.label_image_centroids(image, physical=physical)["vertices"][0] for physical in (False, True)]
    return [tuple(round(float(value), 1) for value in place) for place in (*found, ants.get_center_of_mass(image))]


line = "; ".join(
    "{}: voxels {}, physical {}, get_center_of_mass {}".format(shape, *centroids(shape))
    for shape in ((10, 20, 30), (30, 30, 30))
)
print(line)
expected = (
    "(10, 20, 30): voxels (2.0, 6.7, 5.0), physical (2.0, 6.7, 5.0), get_center_of_mass (102.5, 212.0, 366.0);"
    " (30, 30, 30): voxels (22.0, 6.0, 2.5), physical (22.0, 6.0, 2.5), get_center_of_mass (102.5, 212.0, "
    "366.0)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
