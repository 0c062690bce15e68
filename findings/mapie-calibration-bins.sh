#!/usr/bin/env bash
# MAPIE 1.6.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: expected_calibration_error takes num_bins for the number of edges of its bins, so that there is one fewer:
# two bins are one, in which errors of opposite sign cancel, and one bin holds nobody (NaN). With `array split` the bins
# are made of patients as they follow each other in the list, not in the order of their scores: the same patients in
# another order have another error.
# Expected: as many bins as asked for, and an error that does not depend on the order of patients.
# Seen: "scores 0.25 for the healthy and 0.75 for the ill, two bins: uniform 0.00, by hand 0.25; five bins by array
# split 0.25, the same patients shuffled 0.00; one bin nan"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check MAPIE==1.6.0 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
from mapie.metrics.calibration import expected_calibration_error

scores, ill = np.repeat([0.25, 0.75], 1000), np.repeat([0, 1], 1000)
order = np.random.default_rng(0).permutation(2000)
by_hand = np.mean([abs(ill[half].mean() - scores[half].mean()) for half in (scores < 0.5, scores >= 0.5)])
two = expected_calibration_error(ill, scores, num_bins=2)
sorted_, shuffled = (
    expected_calibration_error(ill[these], scores[these], num_bins=5, split_strategy="array split")
    for these in (slice(None), order)
)
one = expected_calibration_error(ill, scores, num_bins=1)
print(
    f"scores 0.25 for the healthy and 0.75 for the ill, two bins: uniform {two:.2f}, by hand {by_hand:.2f}; five bins by "
    f"array split {sorted_:.2f}, the same patients shuffled {shuffled:.2f}; one bin {one:.2f}"
)
sys.exit(not (two == shuffled == 0 and by_hand == sorted_ == 0.25 and math.isnan(one)))
PYTHON
