#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: Compose(lazy=True) drops what a transform was told about interpolation and padding. SpatialPad, BorderPad
# and ResizeWithPadOrCrop with value=-1000 pad with 0: water, where the same transforms without lazy pad a CT with air.
# Spacing of a label map by "nearest" is interpolated: between background and label 3 stands a label of 2.1. Nothing
# warns; the image has the shape and the affine that were asked for.
# Expected: what the transforms give one by one; lazy resampling is described as a way to save time and interpolations.
# Seen: "a CT of -1000 HU padded with -1000, one by one and lazily: SpatialPad -1000 and 0, BorderPad -1000 and 0,
# ResizeWithPadOrCrop -1000 and 0; labels 0 and 3 by nearest: [0.0, 3.0] and [0.0, 2.1, 3.0]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.data import MetaTensor
from monai.transforms import BorderPad, Compose, ResizeWithPadOrCrop, Spacing, SpatialPad

air = MetaTensor(torch.full((1, 16, 16, 16), -1000.0))
label = MetaTensor(torch.zeros(1, 16, 16, 16))
label[:, 8:] = 3


def values(transform, image):
    """Return the values that are in the image afterwards, one by one and lazily."""
    return [
        [round(float(value), 3) for value in Compose([transform], lazy=lazy)(image.clone()).unique()] for lazy in (False, True)
    ]


pads = [SpatialPad((24, 24, 24), value=-1000), BorderPad(4, value=-1000), ResizeWithPadOrCrop((24, 24, 24), value=-1000)]
padded = [values(pad, air) for pad in pads]
labels = values(Spacing((0.7, 0.7, 0.7), mode="nearest"), label)
print(
    "a CT of -1000 HU padded with -1000, one by one and lazily: "
    + ", ".join(f"{type(pad).__name__} {max(eager):.0f} and {max(lazy):.0f}" for pad, (eager, lazy) in zip(pads, padded))
    + f"; labels 0 and 3 by nearest: {labels[0]} and {labels[1]}"
)
sys.exit(padded != [[[-1000], [-1000, 0]]] * 3 or labels != [[0, 3], [0, 2.1, 3]])
PYTHON
