#!/usr/bin/env bash
# pynemaiqpet 0.5.4, scipy 1.13.1, numpy 1.26.4.
# Behaviour: find_background_roi leaves out what is within 82 mm of the middle of the NEMA phantom, where its hot
# spheres are. The middle is sought in all that is below half of the background, with holes filled: the air around is
# in it, the phantom is a hole in the air, and the middle found is always that of the image. Where the phantom lies 30
# mm beside it, hot spheres are in the background: it is 1.30 for 1.00, which makes a contrast of 8 to 1 one of 6 to
# 1, and its variation is 100 % where it is nothing. fit_WB_NEMA_sphere_profiles takes its background from there.
# Expected: 1.00, wherever the phantom lies.
# Seen: "background of 1 and its variation, phantom in the middle of the image: 1.00 and 0.0 %; 10 mm beside it 1.02
# and 28.7 %; 30 mm 1.30 and 100.2 %; 30 mm along both axes 1.36 and 104.1 %"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pynemaiqpet==0.5.4 pymirc==0.30.2 scipy==1.13.1 \
    pandas==2.3.3 matplotlib==3.10.9 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pynemaiqpet.nema_wb import find_background_roi
from scipy.ndimage import gaussian_filter

STEP_MM = 3
RADII_MM = [18.5, 14, 11, 8.5, 6.5, 5]
grid = STEP_MM * (np.arange(129) - 64)
z = STEP_MM * (np.arange(69) - 34)


def background(right, up):
    """Return the mean and the variation of the background of a phantom this many mm beside the image's middle."""
    x, y = np.meshgrid(grid - right, grid - up, indexing="ij")
    image = np.zeros((*x.shape, len(z)))
    image[(x / 147) ** 2 + (y / 115) ** 2 <= 1] = np.abs(z) <= 90
    image[np.hypot(x, y) < 22.5] = 0  # the insert of lung
    for sphere, radius in enumerate(RADII_MM):
        angle = np.radians(60 * sphere)
        square = (x - 57 * np.cos(angle)) ** 2 + (y - 57 * np.sin(angle)) ** 2
        image[square[..., None] + z**2 <= radius**2] = 8
    image = gaussian_filter(image, 5 / 2.355 / STEP_MM)
    found = image[find_background_roi(image, np.full(3, float(STEP_MM)))]
    return f"{found.mean():.2f} and {100 * found.std() / found.mean():.1f} %"


line = (
    f"background of 1 and its variation, phantom in the middle of the image: {background(0, 0)}; 10 mm beside it "
    f"{background(10, 0)}; 30 mm {background(30, 0)}; 30 mm along both axes {background(30, -30)}"
)
print(line)
expected = (
    "background of 1 and its variation, phantom in the middle of the image: 1.00 and 0.0 %; 10 mm beside it 1.02 and "
    "28.7 %; 30 mm 1.30 and 100.2 %; 30 mm along both axes 1.36 and 104.1 %"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
