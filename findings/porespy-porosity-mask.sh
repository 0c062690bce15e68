#!/usr/bin/env bash
# PoreSpy 3.2.0, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: porosity takes a mask of the sample, "for images that don't fill the entire array, like cylindrical
# cores". What lies outside is set to 0, which stands for solid, and counted as such: a core of bone of which half is
# pores has a porosity of 0.39, by the share of the image that a circle fills. Setting the outside to 2, which the
# documentation says has the same effect, is right.
# Expected: 0.50, with the mask and without.
# Seen: "porosity of a round core of which 0.500 is pores: with a mask 0.393, with 2 outside 0.500"
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
from porespy.metrics import porosity

rows, columns = np.mgrid[:100, :100] - 49.5
core = np.broadcast_to(rows**2 + columns**2 < 50**2, (100, 100, 100))
pores = np.random.default_rng(0).random(core.shape) < 0.5
line = (
    f"porosity of a round core of which {pores[core].mean():.3f} is pores: with a mask "
    f"{porosity(pores, mask=core):.3f}, with 2 outside {porosity(np.where(core, pores, 2)):.3f}"
)
print(line)
expected = "porosity of a round core of which 0.500 is pores: with a mask 0.393, with 2 outside 0.500"
sys.exit(0 if line == expected else "this has changed")
PYTHON
