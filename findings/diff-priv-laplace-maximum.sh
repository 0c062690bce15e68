#!/usr/bin/env bash
# diff-priv-laplace-python 1.0.5, numpy 1.26.4.
# Behaviour: the noise of a private minimum, maximum and median is that of values that one patient moves by 1 at most,
# whatever their unit; there is no bound to state. In a table of days in hospital one patient moves the maximum by
# hundreds, and is seen through the noise.
# Expected: bounds, as for its sum and mean, or an error.
# Seen: "largest stay of 100 patients at epsilon 1: 30 days, 400 with another patient for one of them; spread 1.4, so
# that epsilon is 368"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 setuptools==75.8.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    diff-priv-laplace-python==1.0.5
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from diffpriv_laplace import DiffPrivStatistics

np.random.seed(0)
stays = np.linspace(1, 30, 100)  # days
other = np.append(stays[:-1], 400.0)
seen = [[float(DiffPrivStatistics.max(days, 1.0)) for _ in range(1000)] for days in (stays, other)]
scale = np.std(seen[0]) / np.sqrt(2)
print(
    f"largest stay of 100 patients at epsilon 1: {np.mean(seen[0]):.0f} days, {np.mean(seen[1]):.0f} with another "
    f"patient for one of them; spread {np.std(seen[0]):.1f}, so that epsilon is {370 / scale:.0f}"
)
sys.exit(not (max(seen[0]) < min(seen[1]) and 300 < 370 / scale < 450))
PYTHON
