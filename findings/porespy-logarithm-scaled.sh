#!/usr/bin/env bash
# PoreSpy 3.2.0, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the distribution of distances to the wall, and of straight paths, may be had over the logarithm of the
# distance, and in the unit of a voxel's size. The logarithm is taken first, and multiplied by the size: a wall 10
# voxels of 5 um away is at a logarithm of 4.99, which is 98,000 um for 50, and with voxels of 0.5 um at 0.50, 3.2 um
# for 5. Without the logarithm distances are right, and the density adds up to the voxel's size in place of 1.
# Expected: 1.70 and 0.70, as pore_size_distribution of the same library has them.
# Seen: "logarithm of 10 voxels, radial and along a path, of 1 um 1.00 and 1.00, pores 1.00, for 1.00; 5 um 4.99 and
# 4.99, pores 1.70, for 1.70; 0.5 um 0.50 and 0.50, pores 0.70, for 0.70; sum of the density 5.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps porespy==3.2.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check connected-components-3d==4.1.1 dask==2026.8.0 \
    deprecated==1.3.1 edt==3.0.0 matplotlib==3.11.2 numba==0.68.1 pandas==3.1.1 psutil==7.2.2 rich==15.0.0 \
    scikit-image==0.26.0 scipy==1.17.1 tomli==2.5.0 tqdm==4.70.1 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types

import numpy as np

for drawing in ("pyvista", "pyevtk", "pyevtk.hl"):  # what only pictures and files for them need
    sys.modules[drawing] = types.ModuleType(drawing)
from porespy.metrics import lineal_path_distribution, pore_size_distribution, radial_density_distribution

distances = np.array([9.0, 10.0, 10.0, 10.0, 10.0, 10.0, 11.0])  # voxels


def most(distribution, size):
    """Return where the distribution of the logarithm of the distance has most, with voxels of this size in um."""
    found = distribution(distances, bins=11, log=True, voxel_size=size)
    return found.bin_centers[np.argmax(found.pdf)]


said = []
for size in (1, 5, 0.5):
    radial, path, pores = (
        f"{most(kind, size):.2f}"
        for kind in (radial_density_distribution, lineal_path_distribution, pore_size_distribution)
    )
    said.append(f"{size} um {radial} and {path}, pores {pores}, for {np.log10(10 * size):.2f}")
density = radial_density_distribution(distances, bins=11, voxel_size=5)
line = (
    f"logarithm of 10 voxels, radial and along a path, of {'; '.join(said)}; sum of the density "
    f"{np.sum(density.pdf * density.bin_widths):.1f}"
)
print(line)
expected = (
    "logarithm of 10 voxels, radial and along a path, of 1 um 1.00 and 1.00, pores 1.00, for 1.00; 5 um 4.99 and "
    "4.99, pores 1.70, for 1.70; 0.5 um 0.50 and 0.50, pores 0.70, for 0.70; sum of the density 5.0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
