#!/usr/bin/env bash
# diffprivlib 0.6.6, scikit-learn 1.6.1, numpy 2.2.6.
# Behaviour: histogram, histogram2d and histogramdd take weights, and add the noise of one count whatever a record
# weighs: a patient of weight 1000 is seen in every draw at epsilon 1. The sum of weights is cut to a whole number
# before the noise, so that 100 patients of weight 0.0099 are nobody; with weights that sum to 1 the histogram is noise
# alone. The documentation says that each value contributes its weight in place of 1, and nothing of either.
# Expected: noise that grows with the largest weight, and fractions kept.
# Seen: "epsilon 1: one patient of weight 1000 counts 993 to 1006 in 1000 draws; 100 patients of weight 0.0099 without
# noise to speak of count 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffprivlib==0.6.6 scikit-learn==1.6.1 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from diffprivlib.tools import histogram


def counted(patients, weight, epsilon, seed):
    return float(
        histogram(
            np.full(patients, 0.5),
            epsilon=epsilon,
            bins=1,
            range=(0, 1),
            weights=np.full(patients, weight),
            random_state=seed,
        )[0][0]
    )


heavy = [counted(1, 1000.0, 1, seed) for seed in range(1000)]
light = counted(100, 0.0099, 1e6, 0)
print(
    f"epsilon 1: one patient of weight 1000 counts {min(heavy):.0f} to {max(heavy):.0f} in 1000 draws; 100 patients of "
    f"weight 0.0099 without noise to speak of count {light:.0f}"
)
sys.exit(not (min(heavy) > 950 and light == 0))
PYTHON
