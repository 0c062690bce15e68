#!/usr/bin/env bash
# scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: unsharp_mask cuts an image of floats off at -1 and 1: a CT in Hounsfield units as floats comes back as -1
# and 1, at the default of preserve_range, without a warning. gaussian, with the same parameter and default, leaves such
# an image as it is. The documentation says that the image "is converted according to the conventions of img_as_float",
# by which floats stay as they are; clipping is not named.
# Expected: Hounsfield units with sharper edges, as by preserve_range.
# Seen: "CT as floats: -1039 to 70; unsharp_mask -1 to 1, 100.0% of pixels at its ends; with preserve_range -1362 to
# 597; gaussian -1011 to 48"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W error - <<'PYTHON'
import sys

import numpy as np
from skimage.filters import gaussian, unsharp_mask
from skimage.util import img_as_float

random = np.random.default_rng(0)
image = np.full((64, 64), -1000.0)
image[16:48, 16:48] = 40
image += random.normal(0, 10, image.shape)
sharp, kept = unsharp_mask(image), unsharp_mask(image, preserve_range=True)
same = (img_as_float(image) == image).all()
print(
    f"CT as floats: {image.min():.0f} to {image.max():.0f}; unsharp_mask {sharp.min():g} to {sharp.max():g}, "
    f"{np.mean(np.abs(sharp) == 1):.1%} of pixels at its ends; with preserve_range {kept.min():.0f} to "
    f"{kept.max():.0f}; gaussian {gaussian(image).min():.0f} to {gaussian(image).max():.0f}"
)
sys.exit(not (same and np.abs(sharp).max() == 1 and np.mean(np.abs(sharp) == 1) > 0.9 and kept.max() > 40))
PYTHON
