#!/usr/bin/env bash
# menelaus 0.2.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: after an alarm CUSUM takes mean and deviation from the latest patients and begins to count anew. It reads
# its values from the list of all, by the new count: those of the first patients, from before the change. They are far
# from the new mean, and it alarms as soon as it may, over and over, whatever the patients are who come.
# Expected: hardly an alarm while the values stay as they are, as by a new CUSUM with the same mean and deviation.
# Seen: "500 patients at 0, then 2500 at 3: alarms at 505, 1016, 1067, 1118, 1169, ..., 38 of them after the one at
# 1016; of a new CUSUM with its mean and deviation 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 scipy==1.17.1 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps menelaus==0.2.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from menelaus.change_detection import CUSUM

random = np.random.default_rng(0)
values = np.r_[random.normal(0, 1, 500), random.normal(3, 1, 2500)]
SETTINGS = {"burn_in": 50, "delta": 0.5, "threshold": 15}


def alarms(detector, begin):
    """Return the places of the alarms of a detector that sees the values from a place on."""
    found = []
    for place in range(begin, len(values)):
        detector.update(np.array([[values[place]]]))
        if detector.drift_state == "drift":
            found.append(place)
    return found


found = alarms(CUSUM(**SETTINGS), 0)
settled = next(place for place in found if place >= 550)  # its last 50 patients are all from after the change
recent = values[settled - 49 : settled + 1]
anew = alarms(CUSUM(target=recent.mean(), sd_hat=recent.std(), **SETTINGS), settled + 1)
later = [place for place in found if place > settled]
print(
    f"500 patients at 0, then 2500 at 3: alarms at {', '.join(map(str, found[:5]))}, ..., {len(later)} of them after "
    f"the one at {settled}; of a new CUSUM with its mean and deviation {len(anew)}"
)
sys.exit(not (len(later) > 30 and len(anew) <= 1))
PYTHON
