#!/usr/bin/env bash
# krippendorff 0.9.0, numpy 2.4.6.
# Behaviour: for ratings in unsigned integers, as scores read from label images are, alpha subtracts before it changes
# the type: a grade of 1 and one of 2 are 255 apart. By `interval`, the default, raters who differ by at most one grade
# have 0.37 where they have 0.88, and by `ratio` less than by chance. Signed integers, floats, and `nominal` and
# `ordinal`, are right. The documentation asks for an array_like.
# Expected: the same alpha for the same ratings in any type that holds them.
# Seen: "two raters, 60 patients, grades 0 to 4: interval int8 0.88, uint8 0.37; ratio int8 0.60, uint8 -0.35; ordinal
# int8 0.88, uint8 0.88"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check krippendorff==0.9.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from krippendorff import alpha

random = np.random.default_rng(0)
first = random.integers(0, 5, 60)
grades = np.array([first, np.clip(first + random.integers(-1, 2, 60), 0, 4)])
seen = {
    level: [float(alpha(grades.astype(kind), level_of_measurement=level)) for kind in ("int8", "uint8")]
    for level in ("interval", "ratio", "ordinal")
}
print(
    "two raters, 60 patients, grades 0 to 4: "
    + "; ".join(f"{level} int8 {signed:.2f}, uint8 {unsigned:.2f}" for level, (signed, unsigned) in seen.items())
)
(signed, unsigned), (ratio, wrong), (ordinal, same) = seen.values()
sys.exit(not (signed > 0.8 > 0.5 > unsigned and ratio > 0.5 > 0 > wrong and ordinal == same))
PYTHON
