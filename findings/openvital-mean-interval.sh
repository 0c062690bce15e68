#!/usr/bin/env bash
# openvital 0.2.1, openecg 0.11.0, numpy 2.2.6.
# Behaviour: the spectrum of heart rate variability is taken of the intervals themselves, their mean of 800 ms and all,
# under a Hamming window. The window spreads the mean into the first frequency of the band below 0.04 Hz: a heart that
# beats evenly has 67713 ms2 there, and in the total power. What the window takes away is not given back: a rhythm of 30
# ms, half of whose square is 450 ms2, has 137.
# Expected: 0 for a heart whose standard deviation (SDNN) the same filter gives as 0.0, and about 450 ms2.
# Seen: "an even heart of 75 a minute: SDNN 0.0 ms, very low frequencies 67713 ms2; one whose intervals go up and down
# by 30 ms in 4 s: SDNN 21.2 ms, very low frequencies 67704 ms2, high frequencies 137 ms2 for 450"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check openvital==0.2.1 openecg==0.11.0 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from openvital.filters import ecg_hrv

RATE, SECONDS = 500, 300
WAVES = ((0.0, 1.0, 0.012), (0.03, -0.15, 0.012), (0.25, 0.25, 0.05), (-0.16, 0.1, 0.03))


def variability(depth):
    """Return the SDNN (ms) and powers (ms2) of an ECG of five minutes whose intervals go up and down by so many s."""
    times, trace, beat = np.arange(SECONDS * RATE) / RATE, np.zeros(SECONDS * RATE), 0.6
    while beat < SECONDS - 1:
        for place, height, width in WAVES:
            trace += height * np.exp(-(((times - beat - place) / width) ** 2))
        beat += 0.8 + depth * np.sin(2 * np.pi * 0.25 * beat)
    found = ecg_hrv.run({"ECG": {"vals": trace, "srate": RATE}}, {}, ecg_hrv.cfg)
    return {output["name"]: float(values[0]["val"]) for output, values in zip(ecg_hrv.cfg["outputs"], found)}


even, breath = variability(0.0), variability(0.03)
print(
    f"an even heart of 75 a minute: SDNN {even['SDNN']:.1f} ms, very low frequencies {even['VLF']:.0f} ms2; one whose "
    f"intervals go up and down by 30 ms in 4 s: SDNN {breath['SDNN']:.1f} ms, very low frequencies {breath['VLF']:.0f} "
    f"ms2, high frequencies {breath['HF']:.0f} ms2 for 450"
)
wrong = even["SDNN"] < 1 and even["VLF"] > 60000 and 20 < breath["SDNN"] < 22.5 and breath["HF"] < 200
sys.exit(0 if wrong else "this has changed")
PYTHON
