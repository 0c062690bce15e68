#!/usr/bin/env bash
# pelvitect 0.1.0, opencv-python-headless 4.12.0.88, scipy 1.15.3, numpy 2.2.6.
# Behaviour: whether a point lies above Hilgenreiner's line is told by the side of the line on which it is, and the
# line runs from the patient's right to the left. Where the image shows the left hip on the left, as the library's own
# first example does, the line runs backwards and above is below: two normal hips are dislocated, grade IV of Toennis
# and of IHDI, and two dislocated ones are of grade I, the normal one. Which way is outwards is told from the
# landmarks, since images are turned round, and angles and distances are the same.
# Expected: the same grades of an image and its mirror image.
# Seen: "normal hips: I and I, left hip on the left IV and IV; heads above the line: IV and IV, left hip on the left I
# and I"
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

from pelvitect import Pelvitect


def grades(left, outwards, below):
    """Return the grades of Toennis and IHDI of hips, the left one on the right (1) or left (-1) of the image.

    The centre of the head lies so many pixels outwards of the middle and below the line at 300.
    """
    hips = {}
    for side, sign in (("l", left), ("r", -left)):
        hips[f"tcc_{side}"] = 400 + sign * 100, 300
        hips[f"asm_{side}"] = 400 + sign * 180, 270
        hips[f"fhc_{side}"] = 400 + sign * outwards, 300 + below
        hips[f"mofm_{side}"] = 400 + sign * (outwards + 10), 320 + below
    found = Pelvitect(landmarks=hips).analyze().classifications
    return f"{found.tonnis_l.grade.value} and {found.ihdi_l.grade.value}"


normal, dislocated = (150, 30), (210, -50)
line = (
    f"normal hips: {grades(1, *normal)}, left hip on the left {grades(-1, *normal)}; heads above the line: "
    f"{grades(1, *dislocated)}, left hip on the left {grades(-1, *dislocated)}"
)
print(line)
expected = (
    "normal hips: I and I, left hip on the left IV and IV; heads above the line: IV and IV, left hip on the left I "
    "and I"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
