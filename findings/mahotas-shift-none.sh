#!/usr/bin/env bash
# mahotas 1.4.19, scipy 1.17.1, numpy 2.4.6.
# Behaviour: shift and zoom of mahotas.interpolate, and imresize and resize_to, which use zoom, read one pixel too far
# along each axis: an image shifted by nothing lies a pixel up and to the left, and its last row and column are black.
# An even image of 100 made twice as large has a black border. No order of interpolation changes that; a linear shift by
# half a pixel does nothing at all.
# Expected: the same image for a shift by nothing and a zoom by 1, as scipy.ndimage has it, whose interface this is.
# Seen: "row of 10, 20, 30, 40 shifted by 0: 20, 30, 40, 0 (scipy 10, 20, 30, 40); by 0.5, linear: 10, 20, 30, 40 (scipy
# 0, 15, 25, 35); spot at 30, 20: 29.0, 19.0; even image twice as large: 127 of 128 rows are left; zoomed by 1: 0 of 6
# orders leave an image as it is"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mahotas==1.4.19 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import mahotas
import numpy as np
from mahotas.interpolate import shift, zoom
from scipy import ndimage

line = np.tile(np.array([10.0, 20.0, 30.0, 40.0]), (4, 1))
row, column = np.mgrid[:64, :64]
spot = np.exp(-((row - 30) ** 2 + (column - 20) ** 2) / 50)


def said(image):
    return ", ".join(f"{value:.0f}" for value in image[1])


none, by_scipy = shift(line, (0, 0)), ndimage.shift(line, (0, 0))
half, half_by_scipy = shift(line, (0, 0.5), order=1), ndimage.shift(line, (0, 0.5), order=1)
moved = shift(spot, (0, 0))
centre = (moved * row).sum() / moved.sum(), (moved * column).sum() / moved.sum()
larger = mahotas.imresize(np.full((64, 64), 100.0), 2.0)
same = sum(bool(np.allclose(zoom(spot, 1.0, order=order), spot)) for order in range(6))
found = (
    f"row of 10, 20, 30, 40 shifted by 0: {said(none)} (scipy {said(by_scipy)}); by 0.5, linear: {said(half)} (scipy "
    f"{said(half_by_scipy)}); spot at 30, 20: {centre[0]:.1f}, {centre[1]:.1f}; even image twice as large: "
    f"{int((larger[:, 0] > 0).sum())} of {len(larger)} rows are left; zoomed by 1: {same} of 6 orders leave an image "
    "as it is"
)
print(found)
expected = (
    "row of 10, 20, 30, 40 shifted by 0: 20, 30, 40, 0 (scipy 10, 20, 30, 40); by 0.5, linear: 10, 20, 30, 40 (scipy "
    "0, 15, 25, 35); spot at 30, 20: 29.0, 19.0; even image twice as large: 127 of 128 rows are left; zoomed by 1: 0 "
    "of 6 orders leave an image as it is"
)
sys.exit(0 if found == expected else "this has changed")
PYTHON
