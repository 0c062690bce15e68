#!/usr/bin/env bash
# pymedphys 0.41.0, numpy 2.2.6, scipy 1.15.3.
# Behaviour: max_gamma=1 is the limit to choose where only pass or fail is asked for, since "once a search distance is
# reached that would give gamma values larger than this parameter, the search stops". It also cuts all larger values
# down to 1, and a point passes where its gamma is at most 1: a dose with a hole of 2 cm, or one of half the dose,
# passes by 100 %, where it passes by 77 % and 0 % at any other limit. The documentation names no least value.
# Expected: as many points that pass as with any other limit.
# Seen: "as planned: 100 % at max_gamma=2, 100 % at max_gamma=1.1, 100 % at max_gamma=1; hole: 77 % at max_gamma=2, 77 %
# at max_gamma=1.1, 100 % at max_gamma=1; half the dose: 0 % at max_gamma=2, 0 % at max_gamma=1.1, 100 % at max_gamma=1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pymedphys==0.41.0 numpy==2.2.6 scipy==1.15.3
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pymedphys

places = np.arange(0, 60, 2.0)  # mm
x, y = np.meshgrid(places, places, indexing="ij")
planned = 60 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 2 / 12**2)
hole = np.where((abs(x - 30) < 10) & (abs(y - 30) < 10), 0, planned)
doses = {"as planned": planned, "hole": hole, "half the dose": planned / 2}


def passed(given, limit):
    gamma = pymedphys.gamma(
        (places, places), planned, (places, places), given, 3, 3, max_gamma=limit, interp_algo="scipy"
    )
    judged = gamma[~np.isnan(gamma)]
    return 100 * np.mean(judged <= 1)


line = "; ".join(
    f"{name}: " + ", ".join(f"{passed(given, limit):.0f} % at max_gamma={limit}" for limit in (2, 1.1, 1))
    for name, given in doses.items()
)
print(line)
expected = (
    "as planned: 100 % at max_gamma=2, 100 % at max_gamma=1.1, 100 % at max_gamma=1; hole: 77 % at "
    "max_gamma=2, 77 % at max_gamma=1.1, 100 % at max_gamma=1; half the dose: 0 % at max_gamma=2, 0 % at "
    "max_gamma=1.1, 100 % at max_gamma=1"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
