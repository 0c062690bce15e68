#!/usr/bin/env bash
# pylinac 3.49.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: a beam profile may be given with its positions, as a water tank has them. SymmetryAreaMetric takes the
# width of the field in their unit for a number of samples and leaves part of the left half out: a profile that is its
# own mirror image has a symmetry of -48 % in steps of 0.5 mm. The middle 80 % of the field, over which flatness and
# symmetry are taken, ends at whole numbers of the unit: in centimetres it is 4 cm of a field of 3 cm, with both of its
# edges, and the flatness of a flat field is 100 %. Nothing warns.
# Expected: the same figures as without positions, for the same samples.
# Seen: "flatness and symmetry of a flat field of 3 cm in %: samples alone 0.1, 0.0; every 0.5 mm 0.1, -48.0; every 0.05
# cm 100.0, -100.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pylinac==3.49.0 scipy==1.17.1 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pylinac.core.profile import FWXMProfile
from pylinac.metrics.profile import FlatnessDifferenceMetric, SymmetryAreaMetric
from scipy.special import erf

position_mm = np.linspace(-50, 50, 201)
dose = (erf((position_mm + 15) / 1.5) - erf((position_mm - 15) / 1.5)) / 2  # a field of 30 mm


def figures(x_values=None):
    profile = FWXMProfile(values=dose, x_values=x_values)
    found = profile.compute(metrics=[FlatnessDifferenceMetric(), SymmetryAreaMetric()])
    return ", ".join(f"{abs(value) if abs(value) < 0.05 else value:.1f}" for value in found.values())


line = (
    f"flatness and symmetry of a flat field of 3 cm in %: samples alone {figures()}; every 0.5 mm "
    f"{figures(position_mm)}; every 0.05 cm {figures(position_mm / 10)}"
)
print(line)
expected = (
    "flatness and symmetry of a flat field of 3 cm in %: samples alone 0.1, 0.0; every 0.5 mm 0.1, -48.0; every "
    "0.05 cm 100.0, -100.0"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
