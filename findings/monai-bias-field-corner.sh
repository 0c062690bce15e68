#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: RandBiasField draws the coefficients of its Legendre polynomials from 0 to 0.1 by default. All polynomials
# are 1 at the last corner of the image, so that all coefficients add up there: each of 200 random fields is brightest
# at the very same voxel, 2.7 times on average, and dark towards the first one. A network learns that one corner is
# bright.
# Expected: fields that vary from image to image, as from a range around 0: the default of NiftyNet, which it is adapted
# from, is (-10, 10).
# Seen: "default: 200 of 200 random fields are brightest at the last voxel, 2.74 times on average, and 0.75 times at the
# first; from -0.1 to 0.1: 14 of 200 random fields are brightest at the last voxel, 1.03 times on average, and 1.05
# times at the first"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.transforms import RandBiasField

SIDE, FIELDS = 24, 200
seen = {}
for name, settings in (("default", {}), ("from -0.1 to 0.1", {"coeff_range": (-0.1, 0.1)})):
    transform = RandBiasField(prob=1.0, **settings)
    transform.set_random_state(0)
    fields = np.stack([np.asarray(transform(torch.ones(1, SIDE, SIDE, SIDE)))[0] for _ in range(FIELDS)])
    brightest = fields.reshape(FIELDS, -1).argmax(1)
    last, first = float(fields[:, -1, -1, -1].mean()), float(fields[:, 0, 0, 0].mean())
    seen[name] = (int((brightest == SIDE**3 - 1).sum()), last, first)
print(
    "; ".join(
        f"{name}: {count} of {FIELDS} random fields are brightest at the last voxel, {last:.2f} times on average, and "
        f"{first:.2f} times at the first"
        for name, (count, last, first) in seen.items()
    )
)
sys.exit(not (seen["default"][0] == FIELDS and seen["default"][1] > 2 and seen["from -0.1 to 0.1"][0] < FIELDS / 2))
PYTHON
