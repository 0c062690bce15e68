#!/usr/bin/env bash
# antspyx 0.6.3, numpy 2.3.5.
# Behaviour: quantile(image, q) leaves out all that is not above 0, as its nonzero=True, which names zero alone, does
# with negative values, too; and for a single q it does so with nonzero=False as well, where a list of the same q takes
# all voxels. The median of a CT that is three quarters air is 40 HU, that of a z-scored image 0.66 standard deviations.
# Expected: with nonzero=False the quantile of all voxels, for a number as for a list; without it, zeros alone left out.
# Seen: "CT: median 40.00, of all 40.00, of all as a list -1000.00, numpy -1000.00; z-scores: median 0.66, of all 0.66,
# of all as a list -0.02, numpy -0.02"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check antspyx==0.6.3 numpy==2.3.5 pandas==2.3.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import ants
import numpy as np

scan = np.full((20, 20, 20), -1000, np.float32)
scan[:, :, :5] = 40
scored = np.random.RandomState(0).normal(0, 1, (20, 20, 20)).astype(np.float32)
seen = []
for name, voxels in (("CT", scan), ("z-scores", scored)):
    image = ants.from_numpy(voxels)
    values = {
        "median": ants.quantile(image, 0.5),
        "of all": ants.quantile(image, 0.5, nonzero=False),
        "of all as a list": ants.quantile(image, [0.5], nonzero=False)[0],
        "numpy": np.median(voxels),
    }
    seen.append(f"{name}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in values.items()))
line = "; ".join(seen)
print(line)
expected = (
    "CT: median 40.00, of all 40.00, of all as a list -1000.00, numpy -1000.00; z-scores: median 0.66, of all "
    "0.66, of all as a list -0.02, numpy -0.02"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
