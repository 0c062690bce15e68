#!/usr/bin/env bash
# liverquant 0.0.4, cv2geojson 0.0.9, opencv-python-headless 4.12.0.88, scikit-image 0.25.2, numpy 2.2.6.
# Behaviour: get_maximum_stain_concentration gives the 99th percentile of each stain of a slide, by which slides are
# brought to one scale. Without a mask, which may be left out, the third, that is what neither stain explains, is that
# of all three together: 1.49 in place of 0.007 in an image of two stains only.
# Expected: 0.007, as with a mask of the whole image.
# Seen: "haematoxylin, eosin and rest: 1.501, 1.502, 1.486; with a mask of the whole 1.501, 1.502, 0.007"
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

import numpy as np
from liverquant import get_maximum_stain_concentration, get_ref_stian_vectors

stains, _ = get_ref_stian_vectors("HE")
amounts = np.random.default_rng(0).random((100, 100, 2)) * 1.5  # of haematoxylin and eosin, and nothing else
image = (256 * np.exp(-amounts @ stains[:, :2].T) - 1).clip(0, 255).astype(np.uint8)


def maxima(mask):
    """Return the largest concentrations of the two stains and of the rest."""
    return ", ".join(f"{one:.3f}" for one in get_maximum_stain_concentration(image, mask, stains))


whole = np.full((100, 100), 255, np.uint8)
line = f"haematoxylin, eosin and rest: {maxima(None)}; with a mask of the whole {maxima(whole)}"
print(line)
expected = "haematoxylin, eosin and rest: 1.501, 1.502, 1.486; with a mask of the whole 1.501, 1.502, 0.007"
sys.exit(0 if line == expected else "this has changed")
PYTHON
