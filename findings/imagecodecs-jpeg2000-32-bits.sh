#!/usr/bin/env bash
# imagecodecs 2026.3.6 (with OpenJPEG 2.5.4), numpy 2.4.6.
# Behaviour: jpeg2k_encode without a level is lossless, and takes unsigned integers of 32 bits, as labels of cells and
# vessels are kept (it writes them as 26 bits). What is decoded from them is something else, also where no value is
# above 200: a background of 0 becomes 67108863, two thirds of all pixels are wrong, and an image of zeros is one of
# ones. Nothing warns. Signed integers of 32 bits, those of 8 and 16 bits, and the same image written as 24 bits come
# back as they were. tifffile and the codecs for zarr encode by this function.
# Expected: the same image, or a refusal.
# Seen: "uint32 of 0 and 200: 0 to 67108863, wrong in 2990 of 4096 pixels; zeros: 1 to 1; wrong in uint8 0, uint16 0,
# int32 0, uint32 as 24 bits 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check imagecodecs==2026.3.6 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from imagecodecs import jpeg2k_decode, jpeg2k_encode

labels = np.zeros((64, 64), np.uint32)
labels[8:40, 8:40] = 200


def again(image, **settings):
    return jpeg2k_decode(jpeg2k_encode(image, **settings))


def wrong(dtype, **settings):
    image = labels.astype(dtype)
    return int((again(image, **settings) != image).sum())


found, zeros = again(labels), again(np.zeros((64, 64), np.uint32))
line = (
    f"uint32 of 0 and 200: {found.min()} to {found.max()}, wrong in {wrong(np.uint32)} of {labels.size} pixels; zeros: "
    f"{zeros.min()} to {zeros.max()}; wrong in uint8 {wrong(np.uint8)}, uint16 {wrong(np.uint16)}, int32 "
    f"{wrong(np.int32)}, uint32 as 24 bits {wrong(np.uint32, bitspersample=24)}"
)
print(line)
expected = (
    "uint32 of 0 and 200: 0 to 67108863, wrong in 2990 of 4096 pixels; zeros: 1 to 1; wrong in uint8 0, uint16 0, "
    "int32 0, uint32 as 24 bits 0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
