#!/usr/bin/env bash
# medutils-mri 0.1.1, numpy 2.4.6, scikit-image 0.26.0, scipy 1.17.1.
# Behaviour: mse and mseAbs, documented as mean squared errors, are sums: an error of 1 in every pixel of 100 x 100 is
# 10000, and that of the same image at twice the resolution 40000. And the errors of images of 16 bits without a sign,
# as an MR is stored, are counted modulo 65536: an image that is 256 brighter has no error at all, and one of 2000 that
# is 300 darker a normalised error of 3.26 where it is 0.15. Nothing warns.
# Expected: 1, as the names say and as psnr of the same module takes it; and the errors of the same images in floats.
# Seen: "mse of an error of 1: 10000 for 100 x 100, 40000 for 200 x 200; nrmse of 2000 and 2256: 0.00 for 0.13; of 2000
# and 1700: 3.26 for 0.15"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check medutils-mri==0.1.1 numpy==2.4.6 \
    scikit-image==0.26.0 scipy==1.17.1 tqdm==4.70.1
cat > "$place/run.py" <<'PYTHON'
import sys

import numpy as np
from medutils.measures import mse, nrmse


def error(size):
    return f"{mse(np.ones((size, size)), np.zeros((size, size))):.0f}"


def both(value, reference):
    image, other = np.full((64, 64), value, np.uint16), np.full((64, 64), reference, np.uint16)
    return f"{nrmse(image, other):.2f} for {nrmse(image.astype(float), other.astype(float)):.2f}"


line = (
    f"mse of an error of 1: {error(100)} for 100 x 100, {error(200)} for 200 x 200; "
    f"nrmse of 2000 and 2256: {both(2256, 2000)}; of 2000 and 1700: {both(1700, 2000)}"
)
print(line)
expected = (
    "mse of an error of 1: 10000 for 100 x 100, 40000 for 200 x 200; nrmse of 2000 and 2256: 0.00 for 0.13; of 2000 "
    "and 1700: 3.26 for 0.15"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
"$place/env/bin/python" -W ignore "$place/run.py" 2> "$place/said.txt" | grep mse || { cat "$place/said.txt"; exit 1; }
