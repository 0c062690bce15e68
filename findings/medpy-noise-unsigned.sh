#!/usr/bin/env bash
# MedPy 0.5.2, SimpleITK 2.5.7, scipy 1.17.1, numpy 2.4.6.
# Behaviour: immerkaer estimates the noise of an image from its second differences, which it computes in the image's own
# type. Half of them are below 0 and wrap in unsigned integers, as MR and ultrasound are stored in: noise is near 6700
# in 16 bits and 26 in 8 bits, whatever it is. Signed integers and floats are right.
# Expected: an estimate near 5 in every type, as immerkaer_local, beside it, takes its differences in floats.
# Seen: "noise of 5 as float64 5.0, int16 5.0, uint16 6743.9, uint8 26.3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check MedPy==0.5.2 SimpleITK==2.5.7 scipy==1.17.1 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from medpy.filter.noise import immerkaer

image = 100 + np.random.default_rng(0).normal(0, 5, (256, 256))
found = [f"{name} {immerkaer(image.round().astype(name)):.1f}" for name in ("float64", "int16", "uint16", "uint8")]
line = f"noise of 5 as {', '.join(found)}"
print(line)
expected = "noise of 5 as float64 5.0, int16 5.0, uint16 6743.9, uint8 26.3"
sys.exit(0 if line == expected else "this has changed")
PYTHON
