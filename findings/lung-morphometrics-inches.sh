#!/usr/bin/env bash
# python-lung-morphometrics 0.4.0, tifffile 2026.3.3, scikit-image 0.25.2, numpy 2.2.6.
# Behaviour: do_mli takes the resolution of a TIFF file for pixels per centimetre, and does not read the unit that
# stands beside it: TIFF has inches and centimetres, and inches where none is named. The mean linear intercept, the
# size of air spaces by which emphysema is told, of the same lung with the same pixels of 1 um is 37 um where the
# resolution is in centimetres and 14 um where it is in inches, 2.54 times as fine and with lines in other places.
# Nothing warns.
# Expected: 37 um, both times; the walls are 50 um apart and 10 um thick, and smoothed.
# Seen: "mean linear intercept, 10000 pixels to the centimetre: 37.4 um; 25400 to the inch: 13.7 um"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps python-lung-morphometrics==0.4.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3 scikit-image==0.25.2 \
    scikit-learn==1.7.2 skops==0.13.0 imageio==2.37.3 pandas==2.3.3 matplotlib==3.10.9 joblib==1.6.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import tifffile
from python_lung_morphometrics import do_mli

tissue = np.full((1000, 1000, 3), (150, 80, 140), np.uint8)
for row in range(0, 1000, 50):
    for column in range(0, 1000, 50):
        tissue[row : row + 40, column : column + 40] = 235


def intercept(pixels, unit):
    """Return the mean linear intercept in um of the lung with so many pixels to a unit."""
    tifffile.imwrite("./lung.tif", tissue, resolution=(pixels, pixels), resolutionunit=unit, photometric="rgb")
    return f"{do_mli('./lung.tif', save_pic=False):.1f} um"


line = (
    f"mean linear intercept, 10000 pixels to the centimetre: {intercept(10000, 'CENTIMETER')}; 25400 to the inch: "
    f"{intercept(25400, 'INCH')}"
)
print(line)
expected = "mean linear intercept, 10000 pixels to the centimetre: 37.4 um; 25400 to the inch: 13.7 um"
sys.exit(0 if line == expected else "this has changed")
PYTHON
