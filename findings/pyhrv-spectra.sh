#!/usr/bin/env bash
# pyhrv 0.5.0, biosppy 2.2.4, nolds 0.6.2, peakutils 1.3.5, numpy 1.26.4, scipy 1.11.4, matplotlib 3.11.2.
# Behaviour: two of the three spectra know nothing of the rhythm of the heart. lomb_psd hands over 2 pi divided by the
# frequency, where 2 pi times it is meant, and times in ms where frequencies are in Hz: its peaks lie anywhere, and the
# ratio of low to high power is about one half for whatever heart. ar_psd leaves the mean of the intervals in, and its
# power is the skirt of a peak at 0 Hz: 11 times too much in a band, with peaks at the lower ends of bands.
# Expected: by each method a peak at the rhythm and nearly all of the power, 450 ms² for +-30 ms, in its band, as
# welch_psd says.
# Seen: "rhythm at 0.1 Hz: welch peak 0.100, LF 450 ms², LF/HF above 1000; lomb peak 0.042, LF 0.001, 0.46; ar peak
# 0.040, LF 4953, 0.57; rhythm at 0.25 Hz: welch peak 0.250, HF 445 ms², LF/HF 0.00; lomb peak 0.170, HF 0.001, 0.61; ar
# peak 0.150, HF 9162, 0.53"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyhrv==0.5.0 biosppy==2.2.4 peakutils==1.3.5 \
    numpy==1.26.4 scipy==1.11.4 matplotlib==3.11.2
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall nolds==0.6.2  # Python 3.11
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import numpy as np
from pyhrv.frequency_domain import ar_psd, lomb_psd, welch_psd


def rhythm(frequency, seconds=300):
    """Return the intervals (ms) of 75 beats a minute, which sway by 30 ms at this frequency (Hz)."""
    intervals, time = [], 0.0
    while time < seconds:
        intervals.append(800 + 30 * math.sin(2 * math.pi * frequency * time))
        time += intervals[-1] / 1000
    return np.array(intervals)


def said(frequency, band):
    name, parts = ("VLF", "LF", "HF")[band], []
    for method, key, digits, unit in ((welch_psd, "fft", 0, " ms²"), (lomb_psd, "lomb", 3, ""), (ar_psd, "ar", 0, "")):
        found = method(nni=rhythm(frequency), show=False, mode="dev")[0]
        ratio = found[f"{key}_ratio"]
        parts.append(
            f"{'welch' if key == 'fft' else key} peak {found[f'{key}_peak'][band]:.3f}, {name} "
            f"{found[f'{key}_abs'][band]:.{digits}f}{unit}, {'LF/HF ' if key == 'fft' else ''}"
            f"{'above 1000' if ratio > 1000 else f'{ratio:.2f}'}"
        )
    return f"rhythm at {frequency} Hz: {'; '.join(parts)}"


line = f"{said(0.1, 1)}; {said(0.25, 2)}"
print(line)
expected = (
    "rhythm at 0.1 Hz: welch peak 0.100, LF 450 ms², LF/HF above 1000; lomb peak 0.042, LF 0.001, 0.46; ar peak 0.040, "
    "LF 4953, 0.57; rhythm at 0.25 Hz: welch peak 0.250, HF 445 ms², LF/HF 0.00; lomb peak 0.170, HF 0.001, 0.61; ar "
    "peak 0.150, HF 9162, 0.53"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
