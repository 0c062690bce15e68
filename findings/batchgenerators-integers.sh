#!/usr/bin/env bash
# batchgenerators 0.25.5, numpy 2.4.6.
# Behaviour: zero_mean_unit_variance_normalization and mean_std_normalization write into an array of the image's own
# type: a CT as int16, as it is read from DICOM, is normalised to whole numbers, with the fraction cut off towards zero.
# What was -1000 to 1500 HU has four values left, and all soft tissue is one of them. No warning is given.
# Expected: floats, or a refusal as by range_normalization.
# Seen: "CT of int16: 1717 values before, 4 after, soft tissue from -100 to 200 HU is 0; as float32 its spread is 0.49"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check batchgenerators==0.25.5 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from batchgenerators.augmentations.normalizations import zero_mean_unit_variance_normalization

random = np.random.default_rng(0)
air, soft, bone = random.normal(-980, 20, 20000), random.uniform(-100, 200, 30000), random.uniform(200, 1500, 5000)
image = np.concatenate([air, soft, bone]).astype(np.int16).reshape(1, 1, -1)
whole = zero_mean_unit_variance_normalization(image)[0, 0]
exact = zero_mean_unit_variance_normalization(image.astype(np.float32))[0, 0]
tissue = slice(len(air), len(air) + len(soft))
print(
    f"CT of int16: {len(np.unique(image))} values before, {len(np.unique(whole))} after, soft tissue from -100 to 200 HU is "
    f"{', '.join(str(value) for value in np.unique(whole[tissue]))}; as float32 its spread is {np.ptp(exact[tissue]):.2f}"
)
sys.exit(not (len(np.unique(whole)) < 10 and len(np.unique(whole[tissue])) <= 2 and np.ptp(exact[tissue]) > 0.4))
PYTHON
