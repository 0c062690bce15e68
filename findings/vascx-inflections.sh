#!/usr/bin/env bash
# retinalysis-vascx 2.1.0, retinalysis-enface 2.0.0, scipy 1.15.3, numpy 2.2.6.
# Behaviour: the inflections of a retinal vessel, one of its measures of tortuosity, are counted where the product of
# the second derivatives of x and y changes its sign. That is where the bend points along a row or column of the
# image, not where it changes sides: an arc, which bends to one side throughout, has one or two, a vessel like an S,
# with one, has 1 or 6 by how the image is turned, and one with five has 18 or 22.
# Expected: 0, 1 and 5, where the curvature changes its sign, by the same spline, however the image is turned.
# Seen: "inflections of a vessel turned by 0, 30, 45 degrees: an arc 1, 2, 2, by its curvature 0, 0, 0; an S 6, 6, 1,
# by its curvature 1, 1, 1; a wave 22, 18, 22, by its curvature 5, 5, 5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps retinalysis-vascx==2.1.0 \
    retinalysis-enface==2.0.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 scipy==1.15.3 \
    scikit-image==0.25.2 scikit-learn==1.7.2 pandas==2.3.3 matplotlib==3.10.9 networkx==3.6 numba==0.61.2 tqdm==4.67.1 \
    joblib==1.5.2 click==8.3.1 sortedcontainers==2.4.0 pillow==11.3.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from types import SimpleNamespace

import numpy as np
from vascx.shared.splines import SplineInterpolation

along = np.linspace(-0.5, 0.5, 4000)
VESSELS = {
    "an arc": (300 * np.sin(2.4 * along), 300 * np.cos(2.4 * along)),
    "an S": (600 * along, 80 * np.sin(2 * np.pi * along)),
    "a wave": (600 * along, 50 * np.sin(6 * np.pi * along)),
}


def spline(x, y, degrees):
    """Return the library's spline through the pixels of a line, turned by an angle."""
    turn = np.radians(degrees)
    rows, columns = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    pixels = np.round(np.stack([rows, columns], axis=1)).astype(int)
    kept = np.append(True, np.any(np.diff(pixels, axis=0), axis=1))
    return SplineInterpolation(SimpleNamespace(skeleton=pixels[kept]))


def changes(fitted):
    """Return how often the curvature changes its sign along the spline."""
    t = np.linspace(0.05, 0.95, 400)
    sides = np.sign(fitted.dx(t) * fitted.dyy(t) - fitted.dy(t) * fitted.dxx(t))
    return int(np.sum(np.diff(sides) != 0))


said = []
for name, (x, y) in VESSELS.items():
    splines = [spline(x, y, degrees) for degrees in (0, 30, 45)]
    counts = ", ".join(str(len(one.inflection_points(every=10))) for one in splines)
    said.append(f"{name} {counts}, by its curvature {', '.join(str(changes(one)) for one in splines)}")
line = "inflections of a vessel turned by 0, 30, 45 degrees: " + "; ".join(said)
print(line)
expected = (
    "inflections of a vessel turned by 0, 30, 45 degrees: an arc 1, 2, 2, by its curvature 0, 0, 0; an S 6, 6, 1, by "
    "its curvature 1, 1, 1; a wave 22, 18, 22, by its curvature 5, 5, 5"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
