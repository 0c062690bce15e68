#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: GaussianSmooth, GaussianSharpen and their random forms go on with zeros past the image's end. A Gaussian of 0
# is not "nothing" in these images: tissue of 100 becomes 63 at a face and 25 in a corner, air of -1000 HU becomes
# -631, and sharpening, which enlarges a difference 30 times, makes up to 444 of 100. RandGaussianSmooth and
# RandGaussianSharpen teach a network that images have a frame, and there is no parameter for another border.
# Expected: an even image stays as it is, as in scipy.ndimage.gaussian_filter.
# Seen: "an even image of 100: smoothed middle 100, face 63, corner 25 (SciPy 100 everywhere), sharpened up to 444; air of
# -1000 at the face: -631"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.transforms import GaussianSharpen, GaussianSmooth
from scipy.ndimage import gaussian_filter

even, air = torch.full((1, 24, 24, 24), 100.0), torch.full((1, 24, 24, 24), -1000.0)
smooth, sharp = GaussianSmooth(1.5)(even)[0].numpy(), GaussianSharpen()(even)[0].numpy()
cold = GaussianSmooth(1.5)(air)[0].numpy()
scipys = gaussian_filter(even[0].numpy(), 1.5)
print(
    f"an even image of 100: smoothed middle {smooth[12, 12, 12]:.0f}, face {smooth[0, 12, 12]:.0f}, corner "
    f"{smooth[0, 0, 0]:.0f} (SciPy {scipys.min():.0f} everywhere), sharpened up to {sharp.max():.0f}; air of -1000 at "
    f"the face: {cold[0, 12, 12]:.0f}"
)
right = np.allclose(scipys, 100) and abs(smooth[12, 12, 12] - 100) < 0.1
sys.exit(not (right and smooth[0, 12, 12] < 70 and smooth[0, 0, 0] < 30 and sharp.max() > 200 and cold[0, 12, 12] > -700))
PYTHON
