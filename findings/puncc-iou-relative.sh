#!/usr/bin/env bash
# puncc 0.9.3, numpy 1.26.4.
# Behaviour: iou() counts pixels: each side of a box is longer by 1. In boxes whose coordinates are shares of the image,
# as many detectors give them, or millimetres, that 1 is the whole image: boxes in opposite corners overlap.
# Expected: the intersection over the union, as its documentation says, which asks for no unit: 0 for these.
# Seen: "overlap of two boxes in opposite corners, each a tenth of the image wide: in shares of the image 0.02, in
# pixels 0.00; of a box and one beside it, of its size: in shares 0.69, in pixels 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps puncc==0.9.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
from types import ModuleType

import numpy as np

for name in ("deel", "deel.puncc"):  # its metrics alone
    package = ModuleType(name)
    package.__path__ = importlib.util.find_spec(name).submodule_search_locations
    sys.modules[name] = package
from deel.puncc.metrics import iou

first = np.array([[0.0, 0.0, 0.1, 0.1]])  # x and y from, x and y to
corner, beside = np.array([[0.9, 0.9, 1.0, 1.0]]), np.array([[0.2, 0.0, 0.3, 0.1]])
seen = {}
for unit, factor in (("shares", 1), ("pixels", 1000)):
    seen[unit] = [float(iou(first * factor, other * factor)[0, 0]) for other in (corner, beside)]
print(
    f"overlap of two boxes in opposite corners, each a tenth of the image wide: in shares of the image "
    f"{seen['shares'][0]:.2f}, in pixels {seen['pixels'][0]:.2f}; of a box and one beside it, of its size: in shares "
    f"{seen['shares'][1]:.2f}, in pixels {seen['pixels'][1]:.2f}"
)
sys.exit(not (seen["shares"][1] > 0.5 and seen["shares"][0] > 0 and seen["pixels"] == [0, 0]))
PYTHON
