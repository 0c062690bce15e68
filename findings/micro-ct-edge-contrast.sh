#!/usr/bin/env bash
# micro-ct-image-quality-toolbox 0.2.1, scipy 1.17.1, matplotlib 3.11.2, numpy 2.4.6.
# Behaviour: `high_to_low` of get_MTF, said to tell whether the values fall across the edge, does nothing of the kind:
# it turns the sign of the edge's angle round, by which rows are shifted on each other. The same edge with its contrast
# reversed, and said to be so, has rows shifted the wrong way: a resolution of 0.8 line pairs per mm for 3.3, without a
# warning. The default is True.
# Expected: the same frequencies for an edge and its negative, near the 3.7/mm that a blur by 0.05 mm has.
# Seen: "half of the transfer per mm at a rising and a falling edge, and the truth, of a blur of 0.05 mm: 3.3, 0.8
# (3.7); of 0.15 mm: 1.2, 0.7 (1.2)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check micro-ct-image-quality-toolbox==0.2.1 scipy==1.17.1 \
    matplotlib==3.11.2 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from microct_iq_toolbox.mtf_calculator import get_MTF
from scipy.special import erf

PIXEL_MM = 0.05
row, column = np.mgrid[:200, :200] - 100
across_mm = (column - row * np.tan(np.radians(5))) * np.cos(np.radians(5)) * PIXEL_MM


def half(blur_mm, falling):
    """Return the frequency per mm at which the modulation transfer is a half."""
    edge = 500 + (-1 if falling else 1) * 500 * erf(across_mm / blur_mm / 2**0.5)
    region = [60, 140, 80, 120]
    frequency, transfer = get_MTF(edge, region, pixel_size=PIXEL_MM, edge_angle=5.0, high_to_low=falling)[:2]
    fine = np.linspace(0, frequency.max(), 2000)
    return fine[np.argmax(np.interp(fine, frequency[frequency >= 0], transfer[frequency >= 0]) < 0.5)]


found = [
    f"{blur} mm: {half(blur, False):.1f}, {half(blur, True):.1f} ({np.sqrt(np.log(2) / 2) / np.pi / blur:.1f})"
    for blur in (0.05, 0.15)
]
line = f"half of the transfer per mm at a rising and a falling edge, and the truth, of a blur of {'; of '.join(found)}"
print(line)
expected = (
    "half of the transfer per mm at a rising and a falling edge, and the truth, of a blur of 0.05 mm: 3.3, 0.8 "
    "(3.7); of 0.15 mm: 1.2, 0.7 (1.2)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
