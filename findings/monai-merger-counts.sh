#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: AvgMerger, by which PatchInferer puts patches together, counts in 8 bits how many patches lie over a voxel,
# and begins again after 255: of a volume by patches that overlap by 0.85 there are 343 over a voxel, which count as 87,
# and a probability of 0.5 is 1.97; by an overlap of 0.875 there are 512, which count as none, and the middle of the
# volume is infinite. ZarrAvgMerger counts the same way.
# Expected: The mean of the patches, 0.5 everywhere, as SlidingWindowInferer has it at the same overlap.
# Seen: "middle of a volume that is 0.5 everywhere: overlap 0.75, 64 patches over it: 0.50, by SlidingWindowInferer
# 0.50; overlap 0.85, 343 patches over it: 1.97, by SlidingWindowInferer 0.50; overlap 0.875, 512 patches over it: inf,
# by SlidingWindowInferer 0.50"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.inferers import PatchInferer, SlidingWindowInferer, SlidingWindowSplitter

torch.set_num_threads(1)
seen = {}
for side, patch, overlap in ((24, 8, 0.75), (44, 20, 0.85), (24, 8, 0.875)):
    volume = torch.full((1, 1, side, side, side), 0.5)
    merged = PatchInferer(SlidingWindowSplitter(patch, overlap), batch_size=64)(volume, lambda patches: patches)
    slid = SlidingWindowInferer((patch,) * 3, sw_batch_size=64, overlap=overlap)(volume, lambda patches: patches)
    step = round(patch * (1 - overlap))
    over = sum(start <= side // 2 < start + patch for start in range(0, side - patch + 1, step)) ** 3
    seen[overlap] = (over, float(merged[(0, 0, *[side // 2] * 3)]), float(slid.min()), float(slid.max()))
print(
    "middle of a volume that is 0.5 everywhere: "
    + "; ".join(
        f"overlap {overlap}, {over} patches over it: {merged:.2f}, by SlidingWindowInferer {least:.2f}"
        for overlap, (over, merged, least, _) in seen.items()
    )
)
right = all(abs(value - 0.5) < 1e-4 for _, _, *values in seen.values() for value in values)
values = [merged for _, merged, _, _ in seen.values()]
sys.exit(
    not (right and abs(values[0] - 0.5) < 1e-4 and abs(values[1] - 0.5 * 343 / 87) < 1e-3 and values[2] == torch.inf)
)
PYTHON
