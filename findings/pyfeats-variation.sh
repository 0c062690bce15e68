#!/usr/bin/env bash
# pyfeats 1.0.1, mahotas 1.4.19, scikit-image 0.26.0, scipy 1.17.1, opencv-python 4.11.0.86, numpy 1.26.4.
# Behaviour: the coefficient of variation among the first-order statistics is the root of the median over the mean: of
# variance, median and mean, the second is taken for the first. It says nothing of how values vary: it is 0.10 for any
# plaque of a median of 100, even or not, and the more noise there is in a dark one the smaller it gets.
# Expected: the standard deviation over the mean, as the root of the variance that the same function returns is.
# Seen: "coefficient of variation, and what it is, of 100 everywhere 0.10 (0.00); 100 +- 5 0.10 (0.05); 100 +- 30 0.10
# (0.30); 25 everywhere 0.20 (0.00)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyfeats==1.0.1 mahotas==1.4.19 scikit-image==0.26.0 \
    scipy==1.17.1 opencv-python==4.11.0.86 numpy==1.26.4
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pyfeats import fos

noise = np.random.default_rng(0).normal(0, 1, (64, 64))


def figures(mean, deviation):
    """Return pyfeats' coefficient of variation of a plaque, and that from its own variance and mean."""
    plaque = (mean + deviation * noise).clip(0, 255).round().astype(np.uint8)
    found = dict(zip(*fos(plaque, np.ones((64, 64)))[::-1]))
    return f"{found['FOS_CoefficientOfVariation']:.2f} ({found['FOS_Variance'] ** 0.5 / found['FOS_Mean']:.2f})"


line = (
    f"coefficient of variation, and what it is, of 100 everywhere {figures(100, 0)}; 100 +- 5 {figures(100, 5)}; 100 "
    f"+- 30 {figures(100, 30)}; 25 everywhere {figures(25, 0)}"
)
print(line)
expected = (
    "coefficient of variation, and what it is, of 100 everywhere 0.10 (0.00); 100 +- 5 0.10 (0.05); 100 +- 30 "
    "0.10 (0.30); 25 everywhere 0.20 (0.00)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
