#!/usr/bin/env bash
# scikit-image 0.26.0, numpy 2.4.6.
# Behaviour: clip_limit=0 of equalize_adapthist means no limit, the most contrast there is, where 0.001 changes nothing;
# the documentation says "normalized between 0 and 1 (higher values give more contrast)".
# Expected: contrast rises with the limit, from none at 0: the lower end of a search over limits is the plain image.
# Seen: "deviation of an image by limit: 0 gives 0.289, 0.001 gives 0.125, 0.01 gives 0.206, 1 gives 0.289; plain 0.125"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
from skimage.exposure import equalize_adapthist

image = np.random.default_rng(0).normal(0.5, 0.1, (128, 128)).clip(0, 1)
image = (image - image.min()) / (image.max() - image.min())
found = {limit: float(equalize_adapthist(image, 16, limit).std()) for limit in (0, 0.001, 0.01, 1)}
said = ", ".join(f"{limit:g} gives {deviation:.3f}" for limit, deviation in found.items())
print(f"deviation of an image by limit: {said}; plain {image.std():.3f}")
sys.exit(not (found[0] == found[1] and found[0.001] < found[0.01] < found[0]))
PYTHON
