#!/usr/bin/env bash
# QbiPy 1.3.8, scipy 1.17.1, numpy 2.4.6.
# Behaviour: compute_IAUC multiplies the times that it is given by `time_scaling`, from minutes to seconds as its
# description has it, in the caller's own array. The second area under the same curve takes these seconds for minutes:
# of the 60 s that are asked for one is left, and the area of another voxel, or of the same one, is 0.
# Expected: the same area from the same call, and times left as they were.
# Seen: "area under a curve of 1 mM in the first 60 s in mM s, three times in a row: 51, 0, 0; the last time of 5.9
# minutes is 1274400"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps QbiPy==1.3.8 GitPython==3.2.1 gitdb==4.0.12 \
    smmap==5.0.3 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from QbiPy.dce_models.tissue_concentration import compute_IAUC

minutes = np.arange(0, 6, 0.1)
enhancement = np.where(minutes > 0.75, 1.0, 0.0)  # mM, from the 8th image on
areas = [compute_IAUC(enhancement, minutes, interval=60.0, time_scaling=60.0) for _ in range(3)]
line = (
    f"area under a curve of 1 mM in the first 60 s in mM s, three times in a row: {areas[0]:.0f}, {areas[1]:.0f}, "
    f"{areas[2]:.0f}; the last time of 5.9 minutes is {minutes[-1]:.0f}"
)
print(line)
expected = (
    "area under a curve of 1 mM in the first 60 s in mM s, three times in a row: 51, 0, 0; the last time of 5.9 "
    "minutes is 1274400"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
