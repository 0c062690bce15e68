#!/usr/bin/env bash
# numpyradiomics 0.0.5, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6.
# Behaviour: the largest diameter of a lesion in a slice, and in a row and a column, is measured on the lesion's
# shadow along that axis, over all slices together. A slanting tube of which each slice is 16 mm wide has a diameter
# in a slice of 40, and of 65 where it slants more.
# Expected: 16.4, the largest of any one slice, as PyRadiomics, which the library says it follows, has it, and as each
# slice by itself has.
# Seen: "diameter in a slice, upright 16.4, of one slice 16.4; by 1 mm a slice 40.4, of one slice 16.4; by 2 mm 65.3,
# of one slice 16.4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpyradiomics==0.0.5 scikit-image==0.25.2 \
    scipy==1.15.3 PyWavelets==1.8.0 numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from numpyradiomics import shape

slices, rows, columns = np.mgrid[:30, :80, :80]


def diameters(slant):
    """Return the diameter in a slice of a tube of 16 mm, and the largest of its slices each by itself."""
    tube = (rows - 40) ** 2 + (columns - 10 - slant * slices) ** 2 < 8**2
    tube &= (slices > 1) & (slices < 28)
    alone = [shape(tube[one : one + 1], (1.0, 1.0, 1.0), extend=False) for one in range(2, 28)]
    largest = max(one["Maximum2DDiameterSlice"] for one in alone)
    whole = shape(tube, (1.0, 1.0, 1.0), extend=False)["Maximum2DDiameterSlice"]
    return f"{whole:.1f}, of one slice {largest:.1f}"


line = f"diameter in a slice, upright {diameters(0)}; by 1 mm a slice {diameters(1)}; by 2 mm {diameters(2)}"
print(line)
expected = (
    "diameter in a slice, upright 16.4, of one slice 16.4; by 1 mm a slice 40.4, of one slice 16.4; by 2 mm 65.3, of "
    "one slice 16.4"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
