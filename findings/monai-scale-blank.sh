#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: ScaleIntensity(minv, maxv) multiplies an image that has one value only by minv. Scaled to -1 to 1, as
# generators want it, a blank slice of air at -1000 HU becomes +1000, and one of 4095 becomes -4095; scaled to 0.2 to 1
# it becomes -200. With minv=0, the default, it is 0. ScaleIntensityRangePercentiles of the same images gives minv.
# Expected: a value between minv and maxv.
# Seen: "air of -1000 HU scaled to -1..1: 1000; to 0.2..1: -200; to 0..1: 0; by percentiles to -1..1: -1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import ScaleIntensity, ScaleIntensityRangePercentiles

air = torch.full((1, 8, 8), -1000.0)


def only(image):
    (value,) = image.unique().tolist()
    return value


to_one, fifth, zero = only(ScaleIntensity(-1, 1)(air)), only(ScaleIntensity(0.2, 1)(air)), only(ScaleIntensity(0, 1)(air))
by_percentiles = only(ScaleIntensityRangePercentiles(1, 99, -1, 1)(air))
print(
    f"air of -1000 HU scaled to -1..1: {to_one:.0f}; to 0.2..1: {fifth:.0f}; to 0..1: {abs(zero):.0f}; by percentiles to "
    f"-1..1: {by_percentiles:.0f}"
)
sys.exit((to_one, round(fifth), abs(zero), by_percentiles) != (1000.0, -200, 0.0, -1.0))
PYTHON
