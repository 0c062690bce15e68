#!/usr/bin/env bash
# scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: equalize_adapthist stretches an image whose values lie from 0 to 1 already to exactly 0 and 1, before it
# equalises and again afterwards, also with a limit at which it changes a full image by less than a hundredth.
# Expected: slices of one volume that were scaled together stay comparable: air stays dark and without contrast.
# Seen: "at limit 0.001: a full slice changed by 0.004 at most, a slice of air from 0.10 to 0.12 became 0.00 to 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
from skimage.exposure import equalize_adapthist

rng = np.random.default_rng(0)
full = rng.normal(0.5, 0.15, (128, 128)).clip(0, 1)
air = 0.1 + 0.02 * rng.random((128, 128))  # of the same volume, seen through the same scale
full_after, air_after = (equalize_adapthist(each, kernel_size=16, clip_limit=0.001) for each in (full, air))
changed = np.abs(full_after - full).max()
print(
    f"at limit 0.001: a full slice changed by {changed:.3f} at most, "
    f"a slice of air from {air.min():.2f} to {air.max():.2f} became {air_after.min():.2f} to {air_after.max():.2f}"
)
sys.exit(not (changed < 0.01 and air_after.min() == 0 and air_after.max() == 1))
PYTHON
