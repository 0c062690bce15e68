#!/usr/bin/env bash
# gait-profile-score 1.0.2, numpy 2.2.6, scipy 1.15.3.
# Behaviour: the gait profile score is documented as that of Baker et al. (2009): the root of the mean square of the
# scores of the single angles, as of all their differences laid end to end. Here it is their plain mean, which is
# smaller the more a deviation lies in one joint.
# Expected: 15 degrees for a left knee that is 45 degrees too bent throughout, one of the nine angles of its side, and 5
# for 5 degrees in every angle.
# Seen: "gait profile score of the left side with a knee 45 degrees too bent: 5.0, as of 5 degrees in each of nine
# angles (5.0); by the paper 15.0 and 5.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check gait-profile-score==1.0.2 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from calculations import blankKinematicsDict, calculateGPSvalues

normal = blankKinematicsDict()
left = [name for name in normal if "Left" in name]


def scores(change):
    """Return the score of the left side (degrees), of the library and of all differences laid end to end."""
    subject = {name: [change.get(name, 0.0)] * 100 for name in normal}
    joined = np.concatenate([np.subtract(subject[name], normal[name]) for name in left])
    return calculateGPSvalues(normal, subject)["GPS Left"], float(np.sqrt(np.mean(joined**2)))


knee, even = scores({"Knee Flexion Left": 45.0}), scores(dict.fromkeys(left, 5.0))
print(
    f"gait profile score of the left side with a knee 45 degrees too bent: {knee[0]:.1f}, as of 5 degrees in each of "
    f"nine angles ({even[0]:.1f}); by the paper {knee[1]:.1f} and {even[1]:.1f}"
)
right = len(left) == 9 and abs(knee[1] - 15) < 1e-6 and abs(even[1] - 5) < 1e-6 and abs(even[0] - 5) < 1e-6
sys.exit(0 if right and abs(knee[0] - 5) < 1e-6 else "this has changed")
PYTHON
