#!/usr/bin/env bash
# pelvitect 0.1.0, opencv-python-headless 4.12.0.88, scipy 1.15.3, numpy 2.2.6.
# Behaviour: the centre-edge angle is documented as "positive: covered, negative: dysplastic". It is taken as the
# acute angle between two lines without a direction, from 0 to 90 degrees: a femoral head that lies outside of its
# socket by as much as a normal one lies within has the same +27 degrees, and is of Severin's grade I, the best there
# is, where the library gives IV to any angle below 0.
# Expected: -27 degrees and grade IV, by the sign of how far the head's centre lies inwards of the socket's edge.
# Seen: "centre-edge angle and grade of Severin: head 30 inwards of the edge 26.6, I, by its sides 26.6; 10 outwards
# 9.5, III, -9.5; 30 outwards 26.6, I, -26.6"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pelvitect==0.1.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.12.0.88 scipy==1.15.3 \
    matplotlib==3.10.9 pillow==12.0.0 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pelvitect import Pelvitect


def found(inwards):
    """Return angle and grade of a hip whose head lies this many pixels inwards of the edge, and its signed angle."""
    hips = {}
    for side, sign in (("l", 1), ("r", -1)):  # the patient's left is on the right of the image
        hips[f"tcc_{side}"] = 400 + sign * 100, 300
        hips[f"asm_{side}"] = 400 + sign * 180, 270
        hips[f"fhc_{side}"] = 400 + sign * (180 - inwards), 330
    result = Pelvitect(landmarks=hips, patient_age_years=8).analyze()
    angle, grade = result.angles.ce_l.value, result.classifications.severin_l.grade.value
    return f"{angle:.1f}, {grade}", f"{np.degrees(np.arctan2(inwards, 60)):.1f}"


inside, slight, outside = map(found, (30, -10, -30))
line = (
    f"centre-edge angle and grade of Severin: head 30 inwards of the edge {inside[0]}, by its sides {inside[1]}; 10 "
    f"outwards {slight[0]}, {slight[1]}; 30 outwards {outside[0]}, {outside[1]}"
)
print(line)
expected = (
    "centre-edge angle and grade of Severin: head 30 inwards of the edge 26.6, I, by its sides 26.6; 10 outwards 9.5, "
    "III, -9.5; 30 outwards 26.6, I, -26.6"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
