#!/usr/bin/env bash
# med-imagetools 2.16.0, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: resample and resize smooth nothing before they make an image coarser, though anti_alias is on by default:
# the width comes from the old spacing over the new one, where scikit-image, whose formula it names, has the new over
# the old, and is 0 for every coarser grid. Stripes of 0 and 400 become 400 everywhere.
# Expected: their mean, near 200, as with a width that is handed over.
# Seen: "mean of stripes 200; 4 mm from 1 mm: resample 400, resize 400, without anti_alias 400, with a width of 1.5:
# 212"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check med-imagetools==2.16.0 SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk
from imgtools.transforms.functional import resample, resize

stripes = np.zeros((8, 64, 64), np.float32)  # (planes, rows, columns), 1 mm
stripes[:, :, ::4] = stripes[:, :, 1::4] = 400
image = sitk.GetImageFromArray(stripes)


def mean(made):
    return f"{sitk.GetArrayFromImage(made)[2:6, 4:12, 4:12].mean():.0f}"


line = (
    f"mean of stripes {stripes.mean():.0f}; 4 mm from 1 mm: "
    f"resample {mean(resample(image, [4.0, 4.0, 1.0]))}, resize {mean(resize(image, [16, 16, 8]))}, "
    f"without anti_alias {mean(resample(image, [4.0, 4.0, 1.0], anti_alias=False))}, "
    f"with a width of 1.5: {mean(resample(image, [4.0, 4.0, 1.0], anti_alias_sigma=[1.5] * 3))}"
)
print(line)
expected = (
    "mean of stripes 200; 4 mm from 1 mm: resample 400, resize 400, without anti_alias 400, with a width of 1.5: 212"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
