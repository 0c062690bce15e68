#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6.
# Behaviour: an image of integers times a number first makes an integer of the number: a PET of int16 times its SUV
# factor of 0.0025 is 0 everywhere, times 1.5 it stays as it is, and plus 0.9 as well, and each square root is 1. The
# same image divided by 400 has the SUVs: division alone makes floats. The documentation of Multiply says that
# conversions are "done by the C++ defaults", by which a product of an integer and a fraction is a fraction.
# Expected: times 0.0025 the same as by 400, in floats or at least rounded from the product.
# Seen: "int16, 1234: x 0.0025 = 0.0, / 400 = 3.1, x 1.5 = 1234.0, + 0.9 = 1234.0, ** 0.5 = 1.0; float32, 1234: x 0.0025
# = 3.1, / 400 = 3.1, x 1.5 = 1851.0, + 0.9 = 1234.9, ** 0.5 = 35.1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

counts = np.array([[0, 400, 1234, 10000]])
seen = []
for kind in (np.int16, np.float32):
    image = sitk.GetImageFromArray(counts.astype(kind))
    products = {
        "x 0.0025": image * 0.0025,
        "/ 400": image / 400,
        "x 1.5": image * 1.5,
        "+ 0.9": image + 0.9,
        "** 0.5": image**0.5,
    }
    values = {name: sitk.GetArrayFromImage(product)[0, 2] for name, product in products.items()}
    seen.append(f"{np.dtype(kind)}, 1234: " + ", ".join(f"{name} = {value:.1f}" for name, value in values.items()))
line = "; ".join(seen)
print(line)
expected = (
    "int16, 1234: x 0.0025 = 0.0, / 400 = 3.1, x 1.5 = 1234.0, + 0.9 = 1234.0, ** 0.5 = 1.0; float32, 1234: x "
    "0.0025 = 3.1, / 400 = 3.1, x 1.5 = 1851.0, + 0.9 = 1234.9, ** 0.5 = 35.1"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
