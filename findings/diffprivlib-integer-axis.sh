#!/usr/bin/env bash
# diffprivlib 0.6.6, scikit-learn 1.6.1, numpy 2.2.6.
# Behaviour: with an axis or keepdims, mean, var, quantile and median of integers give integers: the fraction is cut off
# after the noise (std is the root of such a variance). The mean of a column of yes and no is 0, whatever share says
# yes. Without an axis, and for the same numbers as floats, they are right. The documentation says that float64 is the
# default for integer inputs.
# Expected: the same means for integers and floats.
# Seen: "means with noise below 0.001: integers 55, 55, 54, floats 55.448, 55.802, 54.524; share above 50: of booleans
# 0, 0, 0, of floats 0.582, 0.590, 0.546"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffprivlib==0.6.6 scikit-learn==1.6.1 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from diffprivlib.tools import mean

ages = np.random.default_rng(0).integers(20, 90, (1000, 3))
above = ages > 50


def columns(values, high):
    return mean(values, epsilon=1e6, bounds=(0, high), axis=0, random_state=0)


whole, exact, nobody, share = columns(ages, 100), columns(ages * 1.0, 100), columns(above, 1), columns(above * 1.0, 1)


def listed(values, digits=3):
    return ", ".join(f"{value:.{digits}f}" for value in values)


print(
    f"means with noise below 0.001: integers {listed(whole, 0)}, floats {listed(exact)}; share above 50: of booleans "
    f"{listed(nobody, 0)}, of floats {listed(share)}"
)
right = abs(exact - ages.mean(axis=0)).max() < 1e-3 and abs(share - above.mean(axis=0)).max() < 1e-3
sys.exit(not (right and (whole == ages.mean(axis=0) // 1).all() and not nobody.any()))
PYTHON
