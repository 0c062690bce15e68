#!/usr/bin/env bash
# eeprivacy 0.0.5, scipy 1.13.1, numpy 1.26.4.
# Behaviour: PrivateVectorClampedMeanLaplace draws one number of noise and adds it to all elements of a mean: their
# differences come out exactly. The Gaussian one draws a number for each.
# Expected: noise of its own for each element (Dwork and Roth, definition 3.3).
# Seen: "means 4.5, 5.5, 6.5 at epsilon 0.1: differences over 1000 answers 1.00 and 1.00, with a spread of 0.00; by the
# Gaussian one with a spread of 230"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scipy==1.13.1 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps eeprivacy==0.0.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from eeprivacy.operations import PrivateVectorClampedMeanGaussian, PrivateVectorClampedMeanLaplace

np.random.seed(0)
vectors = [np.array([day, day + 1, day + 2], float) for day in range(10)]
options = {"lower_bound": 0, "upper_bound": 20, "k": 3, "N": 10}
spreads = []
for kind in (PrivateVectorClampedMeanLaplace, PrivateVectorClampedMeanGaussian):
    mean = kind(**options)
    answers = np.array([mean.execute(vectors=vectors, epsilon=0.1, delta=1e-5) for _ in range(1000)])
    spreads.append(np.diff(answers, axis=1))
laplace, gaussian = spreads
print(
    f"means 4.5, 5.5, 6.5 at epsilon 0.1: differences over 1000 answers {laplace.mean(axis=0)[0]:.2f} and "
    f"{laplace.mean(axis=0)[1]:.2f}, with a spread of {laplace.std():.2f}; by the Gaussian one with a spread of "
    f"{gaussian.std():.0f}"
)
sys.exit(not (laplace.std() < 1e-9 and gaussian.std() > 10))
PYTHON
