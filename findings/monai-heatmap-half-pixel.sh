#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: GenerateHeatmap rounds a landmark to a whole pixel, halves to the even one, before it draws its Gaussian:
# landmarks at 9.5 and 10.5 have the same heatmap, a landmark's centre of mass is up to half a pixel off, and one at
# -0.3, within the first pixel, has an empty map, where 31.7 of 32 has a full one. What a network can learn of a place
# ends there: in an image reduced to pixels of 4 mm each direction is 1 mm off on average.
# Expected: a Gaussian about the place that was given, "in voxel units" as floats.
# Seen: "landmarks at 9.5 and 10.5 have the same heatmap: True; the centre of mass is 0.25 pixels off on average, of
# Gaussians about the places 0.00; sum of the map of a landmark at -0.3 0.0, at 31.7 of 32 15.4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import GenerateHeatmap

draw = GenerateHeatmap(sigma=2.0, spatial_shape=(32, 32))
rows = torch.arange(32.0)


def centre(heatmap):
    """Return the centre of mass along the rows."""
    weights = heatmap.sum(1)
    return float((weights * rows).sum() / weights.sum())


first, second = draw(torch.tensor([[9.5, 16.0], [10.5, 16.0]]))
places = torch.linspace(12, 20, 801)
found = torch.tensor([centre(draw(torch.tensor([[float(place), 16.0]]))[0]) for place in places])
exact = torch.tensor([centre(torch.exp(-((rows[:, None] - place) ** 2) / 8).expand(32, 32)) for place in places])
off, exact_off = float((found - places).abs().mean()), float((exact - places).abs().mean())
sums = [float(draw(torch.tensor([[place, 16.0]])).sum()) for place in (-0.3, 31.7)]
print(
    f"landmarks at 9.5 and 10.5 have the same heatmap: {torch.equal(first, second)}; the centre of mass is {off:.2f} "
    f"pixels off on average, of Gaussians about the places {exact_off:.2f}; sum of the map of a landmark at -0.3 "
    f"{sums[0]:.1f}, at 31.7 of 32 {sums[1]:.1f}"
)
sys.exit(not (torch.equal(first, second) and 0.2 < off < 0.3 and exact_off < 0.01 and sums[0] == 0 and sums[1] > 10))
PYTHON
