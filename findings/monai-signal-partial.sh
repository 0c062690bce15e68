#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: SignalRandAddSinePartial and SignalRandAddSquarePulsePartial put a stretch of sine or pulse in the place of
# the signal instead of adding it: beats of an ECG under a sine of 0.1 to 0.3 mV are gone. They write into the tensor
# that they are given, so that a recording kept in memory loses more in each epoch: of 36 beats 2 are left after 50
# epochs.
# Expected: "Add a random partial sinusoidal signal to the input signal", as their docstrings say and as
# SignalRandAddSine and SignalRandAddSquarePulse do, and an input that stays as it is.
# Seen: "beats of 36 in the recording that was handed in, after 1, 10 and 50 epochs: SignalRandAddSine 36, 36, 36;
# SignalRandAddSinePartial 32, 16, 2; SignalRandAddSquarePulsePartial 32, 16, 2"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import SignalRandAddSine, SignalRandAddSinePartial, SignalRandAddSquarePulsePartial

beats = torch.zeros(2, 1900)  # (leads, samples), mV
beats[:, 100::100] = 1.0


def left(kind):
    """Return how many beats are above 0.5 mV in the recording itself after so many epochs."""
    transform, recording, counts = kind(), beats.clone(), {}
    transform.set_random_state(0)
    for epoch in range(1, 51):
        transform(recording)
        counts[epoch] = int((recording > 0.5).sum())
    return [counts[epoch] for epoch in (1, 10, 50)]


kinds = SignalRandAddSine, SignalRandAddSinePartial, SignalRandAddSquarePulsePartial
seen = {kind.__name__: left(kind) for kind in kinds}
print(
    f"beats of {int((beats > 0.5).sum())} in the recording that was handed in, after 1, 10 and 50 epochs: "
    + "; ".join(f"{name} {', '.join(map(str, counts))}" for name, counts in seen.items())
)
whole, *partial = seen.values()
sys.exit(not (whole == [36] * 3 and all(counts[2] < counts[1] < 36 and counts[2] < 9 for counts in partial)))
PYTHON
