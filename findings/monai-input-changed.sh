#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6, scikit-image 0.26.0, SciPy 1.17.1.
# Behaviour: NormalizeIntensity with `nonzero` or `channel_wise`, KeepLargestConnectedComponent and RandCoarseDropout write
# into the float32 tensor or NumPy array that they are given. A raw outline that is kept to be compared with the cleaned
# one has lost its islands, too, and both have the same Dice. NormalizeIntensity without options, FillHoles,
# RemoveSmallObjects and RandGaussianNoise leave theirs.
# Expected: a result, and the array that was handed in as it was.
# Seen: "changed: NormalizeIntensity of channels, KeepLargestConnectedComponent, RandCoarseDropout; left: NormalizeIntensity,
# FillHoles, RemoveSmallObjects, RandGaussianNoise. An outline of 20 with an island of 4: 16 cleaned, 16 raw"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6 scikit-image==0.26.0 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from monai import transforms

mask = np.zeros((1, 16, 16), np.float32)
mask[0, :4, :4] = mask[0, 8:10, 8:10] = 1
steps = {
    "NormalizeIntensity of channels": transforms.NormalizeIntensity(channel_wise=True),
    "KeepLargestConnectedComponent": transforms.KeepLargestConnectedComponent(),
    "RandCoarseDropout": transforms.RandCoarseDropout(2, (3, 3), fill_value=5, prob=1),
    "NormalizeIntensity": transforms.NormalizeIntensity(),
    "FillHoles": transforms.FillHoles(),
    "RemoveSmallObjects": transforms.RemoveSmallObjects(5),
    "RandGaussianNoise": transforms.RandGaussianNoise(1),
}
changed, left = [], []
for name, step in steps.items():
    given = mask.copy()
    step(given)
    (left if np.array_equal(given, mask) else changed).append(name)
raw = mask.copy()
cleaned = steps["KeepLargestConnectedComponent"](raw)
sizes = int(cleaned.sum()), int(raw.sum())
print(
    f"changed: {', '.join(changed)}; left: {', '.join(left)}. An outline of {int(mask.sum())} with an island of 4: "
    f"{sizes[0]} cleaned, {sizes[1]} raw"
)
names = list(steps)
sys.exit(not (changed == names[:3] and left == names[3:] and sizes == (16, 16)))
PYTHON
