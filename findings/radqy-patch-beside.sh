#!/usr/bin/env bash
# radqy 2025.3.2, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6.
# Behaviour: four of the signal-to-noise and contrast ratios of a scan are measured in a patch of 5 x 5 pixels around
# its brightest one. The image is padded by 5 pixels, and the patch begins at the place of that pixel without them: it
# is the 5 x 5 pixels above and to the left, and the brightest one is not in it. A tumour of 7 x 7 pixels of 1000 in
# tissue of 100 has a signal-to-noise ratio of 43 in place of 101.
# Expected: a patch with the brightest pixel in its middle.
# Seen: "patch at the brightest pixel, 1001: 100 to 1000, with it in the middle 1000 to 1001; signal-to-noise ratio
# 43, by the middle 101"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps radqy==2025.3.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.25.2 SimpleITK==2.5.2 pydicom==3.0.2 \
    pandas==2.3.3 matplotlib==3.10.9 pyyaml==6.0.3 scipy==1.15.3 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from radqy.radqy import func8, patch

rows, columns = np.mgrid[:128, :128]
body = (rows - 64) ** 2 + (columns - 64) ** 2 < 50**2
tumour = (np.abs(rows - 70) <= 3) & (np.abs(columns - 60) <= 3)
air = np.random.default_rng(0).normal(0, 10, body.shape)
image = np.where(tumour, 1000.0, np.where(body, 100.0, air))
image[70, 60] = 1001
part, rest = image * body, image * ~body
ratio = func8(part, rest, body, image[body], image[~body])[1]
right = part[68:73, 58:63]
line = (
    f"patch at the brightest pixel, 1001: {patch(part, 5).min():.0f} to {patch(part, 5).max():.0f}, with it in the "
    f"middle {right.min():.0f} to {right.max():.0f}; signal-to-noise ratio {ratio:.0f}, by the middle "
    f"{right.mean() / image[~body].std():.0f}"
)
print(line)
expected = (
    "patch at the brightest pixel, 1001: 100 to 1000, with it in the middle 1000 to 1001; signal-to-noise ratio 43, "
    "by the middle 101"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
