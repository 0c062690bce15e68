#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: IntensityRemap scales its curve by the maximum of the image instead of its range: values from -1000 to 1000
# HU become -1000 to 0, so that all bone is gone, and 100 to 200 become 100 to 300. RandIntensityRemap makes each curve
# by a generator of its own, which neither set_random_state nor set_determinism reaches: the same seed gives another
# image.
# Expected: "The curve is the rescaled to the input image intensity range", and one image for one seed.
# Seen: "-1000 to 1000 become -1000 to 0; 100 to 200 become 100 to 300; the same image from the same seed: False"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import RandIntensityRemap
from monai.utils import set_determinism


def remapped(low, high):
    """Return the least and greatest value of an image from low to high, and whether a seed gives it twice."""
    image = torch.linspace(low, high, 4096).reshape(1, 64, 64)
    images = []
    for _ in range(2):
        set_determinism(0)
        transform = RandIntensityRemap(prob=1.0)
        transform.set_random_state(0)
        images.append(transform(image))
    return float(images[0].min()), float(images[0].max()), bool(torch.equal(*images))


seen = {(low, high): remapped(low, high) for low, high in ((-1000, 1000), (100, 200))}
print(
    "; ".join(f"{low} to {high} become {least:.0f} to {most:.0f}" for (low, high), (least, most, _) in seen.items())
    + f"; the same image from the same seed: {any(same for _, _, same in seen.values())}"
)
ranges, repeated = [values[:2] for values in seen.values()], [values[2] for values in seen.values()]
sys.exit(not (ranges == [(-1000, 0), (100, 300)] and not any(repeated)))
PYTHON
