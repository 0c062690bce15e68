#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: ScaleIntensity of an image whose voxels are all equal returns the value times the lower limit of the range
# that was asked for: a slice or patch of air at -1000 HU, scaled to -1 to 1, becomes +1000, a thousand times the upper
# limit; to 1 to 2 it stays -1000. Only with a lower limit of 0 is the result in the range. Nothing
# warns. ScaleIntensityRangePercentiles returns the lower limit.
# Expected: a value of the range.
# Seen: "an even image of -1000: to 0..1 0, to -1..1 1000, to 1..2 -1000; by percentiles to -1..1 -1; one voxel of -999
# more: -1 to 1"
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

air = torch.full((1, 16, 16), -1000.0)
unit, both, high = (ScaleIntensity(*limits)(air).unique().tolist() for limits in ((0, 1), (-1, 1), (1, 2)))
percentiles = ScaleIntensityRangePercentiles(1, 99, -1, 1)(air).unique().tolist()
air[0, 0, 0] = -999
uneven = ScaleIntensity(-1, 1)(air)
print(
    f"an even image of -1000: to 0..1 {abs(unit[0]):g}, to -1..1 {both[0]:g}, to 1..2 {high[0]:g}; by percentiles to "
    f"-1..1 {percentiles[0]:g}; one voxel of -999 more: {uneven.min():g} to {uneven.max():g}"
)
seen = [*unit, *both, *high, *percentiles, uneven.min().item(), uneven.max().item()]
sys.exit(seen != [0, 1000, -1000, -1, -1, 1])
PYTHON
