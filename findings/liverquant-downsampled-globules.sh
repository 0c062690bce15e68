#!/usr/bin/env bash
# liverquant 0.0.4, cv2geojson 0.0.9, opencv-python-headless 4.12.0.88, scikit-image 0.25.2, numpy 2.2.6.
# Behaviour: detect_fat_globules_wsi takes globules of 5 to 100 um. It looks at a slide at half its size by default,
# and reckons with the size of a pixel at full size, unlike the library's other functions: globules of 10 to 200 um
# are taken. Small ones of 8 um, of which a fatty liver may be full, are left out, and a vessel of 150 um is fat.
# Expected: those of 8 and 40 um, at any downsample.
# Seen: "of five globules each: 5 of 8 um, 5 of 40 um, 0 of 150 um; by default 0 of 8 um, 5 of 40 um, 5 of 150 um; at
# a quarter 0 of 8 um, 5 of 40 um, 5 of 150 um"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps liverquant==0.0.4 cv2geojson==0.0.9
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 geojson==3.3.0 \
    scikit-image==0.25.2 scikit-learn==1.7.2 scipy==1.15.3 matplotlib==3.10.9 pillow==11.3.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import cv2
import numpy as np
from cv2geojson import find_geocontours
from liverquant import detect_fat_globules_wsi
from PIL import Image

pixels = np.full((4096, 4096, 3), (200, 120, 170), np.uint8)
tissue = np.zeros((4096, 4096), np.uint8)
tissue[500:3500, 500:3500] = 255
ROWS = {8: 800, 40: 1400, 150: 2400}  # um and where
for diameter, row in ROWS.items():
    for column in range(800, 3300, 600):
        cv2.circle(pixels, (column, row), diameter, (250, 248, 249), -1)  # a pixel is half a um wide


class Slide:
    """What is used of an openslide: a slide with pixels of half a um."""

    dimensions, level_downsamples, properties = (4096, 4096), (1.0,), {"openslide.mpp-x": "0.5"}

    def read_region(self, address, level, size):
        part = pixels[address[1] : address[1] + size[1], address[0] : address[0] + size[0]]
        short = [(0, size[1] - part.shape[0]), (0, size[0] - part.shape[1]), (0, 0)]
        return Image.fromarray(np.pad(part, short, constant_values=255))


def found(**options):
    """Return how many globules of each diameter are found."""
    roi = find_geocontours(tissue, mode="imagej")
    globules = detect_fat_globules_wsi(Slide(), roi, cores_num=1, **options)[1]
    middles = [one.min_enclosing_circle()[0][1] for one in globules]
    return ", ".join(f"{sum(abs(middle - row) < 50 for middle in middles)} of {um} um" for um, row in ROWS.items())


line = f"of five globules each: {found(downsample=1)}; by default {found()}; at a quarter {found(downsample=4)}"
print(line)
expected = (
    "of five globules each: 5 of 8 um, 5 of 40 um, 0 of 150 um; by default 0 of 8 um, 5 of 40 um, 5 of 150 um; at a "
    "quarter 0 of 8 um, 5 of 40 um, 5 of 150 um"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
