#!/usr/bin/env bash
# frouros 0.9.0, scipy 1.14.1, numpy 2.1.3.
# Behaviour: PSI, the population stability index, puts the smallest number that a computer has (2e-308) for a bin in
# which no patient lies, and takes its logarithm: one patient among 500 in such a bin adds 1.4 to the index, of which
# 0.25 is called a marked shift. The bins divide the range of both samples evenly, so that the outermost hold a patient
# or two, or none. Two samples from one population have shifted in four of ten cases. The reference gives an example of
# 135, and says nothing of empty bins.
# Expected: an index near 0 for two samples of one population, as half a patient in an empty bin gives.
# Seen: "two samples of 500 from one population: above 0.25 in 0.38 of 300 cases, median 0.05; with half a patient in
# empty bins 0.00, median 0.03; moved by a standard deviation 35.9 and 0.9"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check frouros==0.9.0 scipy==1.14.1 numpy==2.1.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from frouros.detectors.data_drift import PSI


def index(before, after):
    detector = PSI()
    detector.fit(X=before)
    return float(detector.compare(X=after)[0].distance)


def half(before, after):
    """Return the index in the same ten bins with half a patient where there is none."""
    edges = np.linspace(min(before.min(), after.min()), max(before.max(), after.max()), 11)
    shares = [np.maximum(np.histogram(of, edges)[0], 0.5) / len(of) for of in (before, after)]
    return float((shares[1] - shares[0]) @ np.log(shares[1] / shares[0]))


random = np.random.default_rng(0)
pairs = random.normal(60, 10, (300, 2, 500))  # ages, two samples of the same population
found, right = np.array([(index(*pair), half(*pair)) for pair in pairs]).T
moved = random.normal(60, 10, 500), random.normal(70, 10, 500)
print(
    f"two samples of 500 from one population: above 0.25 in {np.mean(found > 0.25):.2f} of 300 cases, median "
    f"{np.median(found):.2f}; with half a patient in empty bins {np.mean(right > 0.25):.2f}, median "
    f"{np.median(right):.2f}; moved by a standard deviation {index(*moved):.1f} and {half(*moved):.1f}"
)
sys.exit(not (np.mean(found > 0.25) > 0.25 and np.mean(right > 0.25) < 0.01 and half(*moved) > 0.25))
PYTHON
