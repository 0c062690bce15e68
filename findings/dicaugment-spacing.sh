#!/usr/bin/env bash
# DICaugment 1.0.7, numpy 2.4.6, scipy 1.17.1, pydicom 3.0.2, scikit-image 0.26.0.
# Behaviour: an image that is made larger gets a larger PixelSpacing, and one that is made smaller a smaller one: it is
# multiplied by the factor where it is to be divided. And SetPixelSpacing(0.5), which is to bring images to 0.5 mm,
# makes of 64 pixels of 1 mm not 128 but 32, and says that they have 0.5 mm: a lesion of 32 mm is 8 mm. Whole slopes
# are applied within 16 bits: 1000 times 40 is -25536. Nothing warns.
# Expected: 32 mm after each of them, and 128 pixels after SetPixelSpacing(0.5).
# Seen: "a lesion of 32 mm: Resize to half 8 mm, to twice 128 mm, RandomScale by 2 128 mm, SetPixelSpacing(0.5) 8 mm in
# 32 pixels; 1000 x 40: -25536"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicaugment==1.0.7 numpy==2.4.6 scipy==1.17.1 \
    pydicom==3.0.2 scikit-image==0.26.0 'setuptools<81'
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import dicaugment
import numpy as np


def augmented(transform, image, slope=1):
    header = {"PixelSpacing": (1.0, 1.0), "RescaleSlope": slope, "RescaleIntercept": 0}
    return dicaugment.Compose([transform])(image=image, dicom=header)


lesion = np.zeros((64, 64, 8), np.int16)  # rows, columns, planes of 1 mm
lesion[16:48, 16:48] = 100


def millimetres(transform):
    made = augmented(transform, lesion)
    plane = made["image"][:, :, made["image"].shape[2] // 2]
    return f"{(plane > 50).any(axis=0).sum() * made['dicom']['PixelSpacing'][1]:g} mm"


half, twice = dicaugment.Resize(32, 32, 8, p=1), dicaugment.Resize(128, 128, 8, p=1)
scaled, set_to = dicaugment.RandomScale((1, 1), p=1), dicaugment.SetPixelSpacing(0.5, 0.5, p=1)
rescaled = augmented(dicaugment.RescaleSlopeIntercept(p=1), np.full((4, 4, 4), 1000, np.int16), slope=40)
line = (
    f"a lesion of 32 mm: Resize to half {millimetres(half)}, to twice {millimetres(twice)}, "
    f"RandomScale by 2 {millimetres(scaled)}, SetPixelSpacing(0.5) {millimetres(set_to)} in "
    f"{augmented(set_to, lesion)['image'].shape[1]} pixels; 1000 x 40: {rescaled['image'][0, 0, 0]}"
)
print(line)
expected = (
    "a lesion of 32 mm: Resize to half 8 mm, to twice 128 mm, RandomScale by 2 128 mm, SetPixelSpacing(0.5) 8 mm in 32 "
    "pixels; 1000 x 40: -25536"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
