#!/usr/bin/env bash
# itk-pocus 0.3.2, scikit-image 0.25.2, scipy 1.15.3, numpy 2.2.6 (itk itself stands aside: it is not called).
# Behaviour: inward_out_crop looks for the dark border around an ultrasound picture, and counts what is brighter than
# bg_threshold. For the border on the right a bracket is in the wrong place: it compares the rows' numbers with the
# threshold, so that all that is not 0 is picture. On a background of 0.02, as video compression leaves one, the crop
# is right above, below and on the left, and goes on to the image's edge on the right.
# Expected: columns 99 to 300 on either background, one more than the picture has at each edge.
# Seen: "rows and columns of a picture in 50 to 249 and 100 to 299 on a background of 0: 49 to 250 and 99 to 300; of
# 0.02: 49 to 250 and 99 to 399; turned round 49 to 250 and 99 to 399"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps itk-pocus==0.3.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.25.2 scipy==1.15.3 numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import types

import numpy as np

sys.modules["itk"] = types.ModuleType("itk")
from itkpocus.util import inward_out_crop

rows, columns = np.mgrid[:300, :400]
picture = (rows >= 50) & (rows < 250) & (columns >= 100) & (columns < 300)


def crop(background, turned=False):
    """Return the rows and columns of the crop of a picture of 0.5 on a background, by a threshold of 0.1."""
    image = np.where(picture, 0.5, background)
    found = inward_out_crop(image[:, ::-1] if turned else image, bg_threshold=0.1)
    return " and ".join(f"{first} to {last}" for first, last in found)


line = (
    f"rows and columns of a picture in 50 to 249 and 100 to 299 on a background of 0: {crop(0.0)}; of 0.02: "
    f"{crop(0.02)}; turned round {crop(0.02, turned=True)}"
)
print(line)
expected = (
    "rows and columns of a picture in 50 to 249 and 100 to 299 on a background of 0: 49 to 250 and 99 to 300; of "
    "0.02: 49 to 250 and 99 to 399; turned round 49 to 250 and 99 to 399"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
