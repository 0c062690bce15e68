#!/usr/bin/env bash
# motor-unit-toolbox 1.2.0, scipy 1.15.3, numpy 1.26.4.
# Behaviour: find_reliable_units leaves out motor units whose coefficient of variation is above 40 by default, a
# figure in per cent, as the limits for it in the literature are. get_coefficient_of_variation of the same file gives
# a fraction, 0.4 for 40 %, and nothing converts it: the limit is one of 4000 %, and a unit whose spikes come by pure
# chance, as of a decomposition that has failed, is reliable as far as its rhythm goes.
# Expected: not reliable at a variation of 0.5 and more, as with the same figures in per cent.
# Seen: "variation, and reliable as a fraction and in per cent: an even rhythm 0.15, True (True); an uneven one 0.51,
# True (False); by chance 0.89, True (False)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check motor-unit-toolbox==1.2.0 scipy==1.15.3 numpy==1.26.4
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from motor_unit_toolbox.props import find_reliable_units, get_coefficient_of_variation

RATE_HZ = 2000
seconds = np.arange(120 * RATE_HZ) / RATE_HZ
random = np.random.default_rng(0)


def found(intervals):
    """Return the variation of a motor unit and whether it is reliable, by that fraction and by per cent."""
    times = np.cumsum(intervals)
    spikes = np.zeros(len(seconds), dtype=int)
    spikes[np.round(times[times < 119] * RATE_HZ).astype(int)] = 1
    variation = get_coefficient_of_variation(spikes, seconds, discard_isi=None)
    rest = np.array([10.0]), np.array([0.95]), np.array([35.0])
    reliable = [bool(find_reliable_units(rest[0], v, *rest[1:])[0]) for v in (variation, 100 * variation)]
    return f"{variation[0]:.2f}, {reliable[0]} ({reliable[1]})"


line = (
    "variation, and reliable as a fraction and in per cent: an even rhythm "
    f"{found(random.normal(0.1, 0.015, 2000))}; an uneven one {found(random.uniform(0.01, 0.19, 2000))}; by chance "
    f"{found(0.01 + random.exponential(0.09, 2000))}"
)
print(line)
expected = (
    "variation, and reliable as a fraction and in per cent: an even rhythm 0.15, True (True); an uneven one 0.51, "
    "True (False); by chance 0.89, True (False)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
