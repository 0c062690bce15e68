#!/usr/bin/env bash
# cmrseq 0.27.1, Pint 0.24.4, numpy 2.2.6.
# Behaviour: velocity.bipolar splits the encoding of a velocity over repetitions of two gradients. From the second
# repetition on, the second gradient is put after the first with its delay counted from there, not from the beginning:
# a gap lies between the two, in which spins go on moving. 0.50 m/s in two repetitions is encoded as 0.33, in three as
# 0.30, so blood at 0.40 m/s aliases, and the 6 ms that are given for it are 7.5 and 8.0.
# Expected: 0.50 m/s in 6.0 ms, by the first moment of the gradients, as with one repetition.
# Seen: "encoding of 0.50 m/s in 6 ms: 1 repetitions 0.50 m/s in 6.0 ms, 2 repetitions 0.33 m/s in 7.5 ms, 3
# repetitions 0.30 m/s in 8.0 ms"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check cmrseq==0.27.1 Pint==0.24.4 scipy==1.15.3 \
    matplotlib==3.10.9 numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import cmrseq
import numpy as np
from pint import Quantity

GAMMA = 2 * np.pi * 42.577e6  # rad/s/T
scanner = cmrseq.SystemSpec(
    max_grad=Quantity(40, "mT/m"),
    max_slew=Quantity(150, "mT/m/ms"),
    grad_raster_time=Quantity(0.01, "ms"),
    rf_raster_time=Quantity(0.01, "ms"),
)


def found(repetitions):
    """Return the velocity in m/s whose phase is pi, by the first moment, and the duration in ms."""
    sequence = cmrseq.seqdefs.velocity.bipolar(
        scanner, Quantity(0.5, "m/s"), np.array([1.0, 0, 0]), Quantity(6, "ms"), repetitions
    )
    times, gradients = sequence.gradients_to_grid()
    fine = np.linspace(times[0], times[-1], 400_001)
    moment = 1e-9 * np.trapezoid(np.interp(fine, times, gradients[0]) * fine, fine)  # T s²/m
    return f"{np.pi / (GAMMA * abs(moment)):.2f} m/s in {times[-1] - times[0]:.1f} ms"


line = "encoding of 0.50 m/s in 6 ms: " + ", ".join(f"{n} repetitions {found(n)}" for n in (1, 2, 3))
print(line)
expected = (
    "encoding of 0.50 m/s in 6 ms: 1 repetitions 0.50 m/s in 6.0 ms, 2 repetitions 0.33 m/s in 7.5 ms, 3 repetitions "
    "0.30 m/s in 8.0 ms"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
