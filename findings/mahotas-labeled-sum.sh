#!/usr/bin/env bash
# mahotas 1.4.19, numpy 2.4.6.
# Behaviour: labeled_sum adds the pixels under each label in the type of the image: what is above 255, 32767 or 65535 is
# lost, and a larger nucleus can have less. The same over all of an image, as numpy's sum, is right.
# Expected: sum[i] is equal to np.sum(array[labeled == i]), as its documentation says; numpy adds in 64 bits.
# Seen: "nuclei of 100, 200 and 300 pixels at 210: 8, 16, 24 (uint8), 21000, 42000, 63000 (numpy); fat of 400 pixels at
# -100 HU: 25536 (int16), -40000 (numpy)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mahotas==1.4.19 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mahotas.labeled import labeled_sum

labels = np.zeros((30, 40), np.int32)
labels[:10, :10], labels[10:20, :20], labels[20:30, :30] = 1, 2, 3
nuclei = np.full(labels.shape, 210, np.uint8)
fat = np.full((20, 20), -100, np.int16)
ones = np.ones(fat.shape, np.int32)
found = ", ".join(str(value) for value in labeled_sum(nuclei, labels)[1:])
right = ", ".join(str(nuclei[labels == label].sum()) for label in (1, 2, 3))
line = (
    f"nuclei of 100, 200 and 300 pixels at 210: {found} (uint8), {right} (numpy); fat of {fat.size} pixels at -100 HU: "
    f"{labeled_sum(fat, ones)[1]} (int16), {fat[ones == 1].sum()} (numpy)"
)
print(line)
expected = (
    "nuclei of 100, 200 and 300 pixels at 210: 8, 16, 24 (uint8), 21000, 42000, 63000 (numpy); fat of 400 pixels at "
    "-100 HU: 25536 (int16), -40000 (numpy)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
