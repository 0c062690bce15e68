#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scipy 1.17.1.
# Behaviour: ImageFilter("mean") and MeanFilter add up the neighbours and divide by nothing: an even image of 10 becomes
# 90 with a filter of 3 x 3, 270 with 3 x 3 x 3, and less at its border, where zeros are added. "elliptical" is such a
# sum as well. "gauss" and "median" of the same image stay at 10.
# Expected: a mean filter leaves an even image as it is, as in scipy.ndimage.uniform_filter.
# Seen: "an even image of 10: mean 90, at a corner 40, of a volume 270, elliptical 50, median 10; SciPy's mean 10"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import ImageFilter
from scipy.ndimage import uniform_filter

flat, volume = torch.full((1, 9, 9), 10.0), torch.full((1, 9, 9, 9), 10.0)


def at(image, name, place=4):
    return float(ImageFilter(name, filter_size=3)(image)[0][(place,) * (image.ndim - 1)])


found = [at(flat, "mean"), at(flat, "mean", 0), at(volume, "mean"), at(flat, "elliptical"), at(flat, "median")]
theirs = float(uniform_filter(flat[0].numpy(), 3)[4, 4])
print(
    "an even image of 10: mean {:.0f}, at a corner {:.0f}, of a volume {:.0f}, elliptical {:.0f}, median {:.0f}; "
    "SciPy's mean {:.0f}".format(*found, theirs)
)
sys.exit([round(value) for value in (*found, theirs)] != [90, 40, 270, 50, 10, 10])
PYTHON
