#!/usr/bin/env bash
# pyirr 0.84.1.2, krippendorff 0.9.0, statsmodels 0.15.0, setuptools 80.10.2, numpy 2.4.6.
# Behaviour: kripp_alpha picks the pairs of grades that disagree from the coincidence matrix by an offset of half its
# size less one. That is the diagonal above the main one for four and five grades, which the R package's example has,
# and the main diagonal for two and three: agreement is counted as disagreement. Raters who agree in five of six
# patients, ill or not, have an alpha of -0.55. krippendorff has 0.71.
# Expected: the same alpha in both libraries; small differences of interval and ordinal alpha aside.
# Seen: "nominal alpha of pyirr and krippendorff for 2, 3, 4, 5 grades: -0.547 and 0.709; -0.862 and 0.835; 0.787 and
# 0.787; 0.787 and 0.787"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyirr==0.84.1.2 krippendorff==0.9.0 statsmodels==0.15.0 \
    setuptools==80.10.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from krippendorff import alpha
from pyirr import kripp_alpha

random = np.random.default_rng(0)
seen = {}
for grades in (2, 3, 4, 5):
    first = random.integers(0, grades, 200)
    second = np.where(random.random(200) < 0.8, first, random.integers(0, grades, 200))
    ratings = np.array([first, second], float)  # raters, patients
    theirs = float(kripp_alpha(ratings.T, "nominal").value)
    seen[grades] = theirs, float(alpha(ratings, level_of_measurement="nominal"))
print(
    f"nominal alpha of pyirr and krippendorff for {', '.join(map(str, seen))} grades: "
    + "; ".join(f"{theirs:.3f} and {other:.3f}" for theirs, other in seen.values())
)
wrong = all(seen[grades][0] < 0 and seen[grades][1] > 0.6 for grades in (2, 3))
sys.exit(not (wrong and all(abs(seen[grades][0] - seen[grades][1]) < 1e-6 for grades in (4, 5))))
PYTHON
