#!/usr/bin/env bash
# PyMUST 0.1.9, scipy 1.15.3, numpy 2.2.6.
# Behaviour: getpulse returns the pulse of a transducer as pressure or as the velocity of its surface, as asked for.
# The spectrum of the velocity is made, divided by the frequency or its root, and overwritten with that of the
# pressure a few lines later: all three are the same pulse. Nothing warns.
# Expected: pulses whose spectra are that of the pressure over f, and over its root, which is what the option stands
# for; the first has its mean frequency a sixth lower.
# Seen: "mean frequency of the pulse of a P4-2v: pressure 2.60, velocity2D 2.60, velocity3D 2.60 MHz; by the spectrum
# of the pressure over the root of f 2.48, over f 2.35 MHz"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps pymust==0.1.9
"$place/env/bin/pip" install --quiet --disable-pip-version-check scipy==1.15.3 matplotlib==3.10.9 tqdm==4.67.1 \
    numpy==2.2.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pymust import getparam, getpulse


def mean_frequency(kind, power=0.0):
    """Return the mean frequency in MHz of this kind of pulse, its spectrum divided by this power of the frequency."""
    pulse, seconds = getpulse(getparam("P4-2v"), 1, kind)
    points = 16 * len(pulse)
    frequency = np.fft.rfftfreq(points, seconds[1] - seconds[0])[1:]
    spectrum = np.abs(np.fft.rfft(pulse, points)[1:]) / frequency**power
    within = (frequency > 0.5e6) & (frequency < 6e6)
    return np.average(frequency[within], weights=spectrum[within] ** 2) / 1e6


kinds = ", ".join(f"{kind} {mean_frequency(kind):.2f}" for kind in ("pressure", "velocity2D", "velocity3D"))
line = (
    f"mean frequency of the pulse of a P4-2v: {kinds} MHz; by the spectrum of the pressure over the root of f "
    f"{mean_frequency('pressure', 0.5):.2f}, over f {mean_frequency('pressure', 1):.2f} MHz"
)
print(line)
expected = (
    "mean frequency of the pulse of a P4-2v: pressure 2.60, velocity2D 2.60, velocity3D 2.60 MHz; by the spectrum of "
    "the pressure over the root of f 2.48, over f 2.35 MHz"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
