#!/usr/bin/env bash
# MONAI 1.6.1, torchaudio 2.11.1, torch 2.13.0, scipy 1.17.1, numpy 2.4.6. torchaudio's compiled part, which wants a
# torch for a GPU, is left out; the filter is in Python.
# Behaviour: SignalRemoveFrequency, which takes the hum of the mains out of an ECG, cuts off all that is above 1 or
# below -1: it calls torchaudio's filtfilt, whose output is clamped as sound is. An ECG in microvolts becomes a row of 1
# and -1, and R waves of 3 mV are 1 mV.
# Expected: the filtered signal in the unit of the one handed in; filtfilt with clamp=False.
# Seen: "highest wave of an ECG without its hum: SciPy 3.00 mV; in V 0.003 for 0.003, in mV 1 for 3, in microvolts 1 for
# 3e+03"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps torchaudio==2.11.1
rm "$place"/env/lib/python3*/site-packages/torchaudio/lib/*.so
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from monai.transforms import SignalRemoveFrequency
from scipy.signal import filtfilt, iirnotch

RATE = 500  # Hz
time = np.arange(5 * RATE) / RATE
phase = (time * 1.25) % 1 - 0.5
ecg = 3 * np.exp(-((phase / 0.03) ** 2))[None]  # (leads, samples), mV
hum = ecg + 0.2 * np.sin(2 * np.pi * 50 * time)
notch = SignalRemoveFrequency(frequency=50.0, quality_factor=30.0, sampling_freq=float(RATE))
scales = {"V": 1e-3, "mV": 1.0, "microvolts": 1e3}
seen = {unit: float(notch(hum * scale).max()) for unit, scale in scales.items()}
right = filtfilt(*iirnotch(50.0, 30.0, RATE), hum).max()
print(
    f"highest wave of an ECG without its hum: SciPy {right:.2f} mV; "
    + ", ".join(f"in {unit} {value:.3g} for {right * scales[unit]:.3g}" for unit, value in seen.items())
)
sys.exit(not (seen["mV"] == seen["microvolts"] == 1 and 2.5 < 1e3 * seen["V"] < 3.5))
PYTHON
