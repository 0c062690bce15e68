#!/usr/bin/env bash
# motor-unit-toolbox 1.2.0, scipy 1.15.3, numpy 1.26.4.
# Behaviour: get_discharge_rate divides the number of spikes by the time without pauses, where each stretch between
# pauses has one interval less than spikes, and a pause is any interval above 0.25 s. A motor unit that fires at 10 a
# second in bursts of three has a rate of 15. One that fires evenly at 3.5 a second is nothing but pauses: its rate is
# infinite, and find_reliable_units, whose lower limit of 3 a second it is above, refuses it for the upper one of 40.
# Expected: 10, 3.5 and 5 a second: the number of intervals over their sum.
# Seen: "rate of 5 a second: 5.0, reliable; of 10 a second in bursts of three: 15.0, reliable; of 3.5 a second: inf,
# not reliable"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check motor-unit-toolbox==1.2.0 scipy==1.15.3 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from motor_unit_toolbox.props import find_reliable_units, get_discharge_rate

RATE_HZ = 2000
seconds = np.arange(60 * RATE_HZ) / RATE_HZ


def found(starts):
    """Return the rate of a motor unit that fires at these times, and whether it is reliable if all else is."""
    spikes = np.zeros(len(seconds), dtype=int)
    spikes[np.round(np.array(starts) * RATE_HZ).astype(int)] = 1
    rate = get_discharge_rate(spikes, seconds)
    reliable = find_reliable_units(rate, np.array([10.0]), np.array([0.95]), np.array([35.0]))[0]
    return f"{rate[0]:.1f}, {'reliable' if reliable else 'not reliable'}"


bursts = [second + place / 10 for second in range(1, 58) for place in range(3)]
line = (
    f"rate of 5 a second: {found(np.arange(1, 58, 1 / 5))}; of 10 a second in bursts of three: {found(bursts)}; of 3.5 "
    f"a second: {found(np.arange(1, 58, 1 / 3.5))}"
)
print(line)
expected = (
    "rate of 5 a second: 5.0, reliable; of 10 a second in bursts of three: 15.0, reliable; of 3.5 a second: inf, not "
    "reliable"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
