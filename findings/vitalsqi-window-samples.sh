#!/usr/bin/env bash
# vitalsqi-toolkit 2.0.0, vitaldsp 0.2.5, scipy 1.17.1, numpy 2.4.6.
# Behaviour: spectral_snr_sqi and baseline_wander_sqi look at windows of 256 samples, whatever the sampling rate is. At
# 500 a second a window is half a second, and its frequencies are 0, 2, 4 Hz: the pulse itself falls to 0, which is
# taken for drift and for noise. The ratio for the same clean pulse, without noise or drift, falls from 24 to -4 dB.
# Expected: the same at any rate that holds the pulse, more than 20 dB and less than 0.01 of drift.
# Seen: "a clean pulse of 1.2 Hz at 100, 250, 500 and 1000 samples a second: signal to noise 24, 8, -1 and -4 dB, drift
# 0.00, 0.13, 0.55 and 0.73 of it; of its spectrum over a minute 0.00, 0.00, 0.00 and 0.00 is below 0.5 Hz"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check vitalsqi-toolkit==2.0.0 vitaldsp==0.2.5 numpy==2.4.6 \
    pandas==3.1.1 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1 pmdarima==2.1.1 pycwt==0.5.0b0 wfdb==4.3.1
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from vital_sqi.sqi.standard_sqi import baseline_wander_sqi, spectral_snr_sqi


def words(values, form):
    """Return numbers as a list in words."""
    texts = [format(float(value), form) for value in values]
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


ratios, drifts, below = [], [], []
for rate in (100, 250, 500, 1000):
    phase = 2 * np.pi * 1.2 * np.arange(60 * rate) / rate
    pulse = np.sin(phase) + 0.3 * np.sin(2 * phase + 1)
    ratios.append(spectral_snr_sqi(pulse, rate))
    drifts.append(baseline_wander_sqi(pulse, rate))
    power = np.abs(np.fft.rfft(pulse)) ** 2
    below.append(power[np.fft.rfftfreq(len(pulse), 1 / rate) < 0.5].sum() / power.sum())
line = (
    f"a clean pulse of 1.2 Hz at 100, 250, 500 and 1000 samples a second: signal to noise {words(ratios, '.0f')} dB, "
    f"drift {words(drifts, '.2f')} of it; of its spectrum over a minute {words(below, '.2f')} is below 0.5 Hz"
)
print(line)
expected = (
    "a clean pulse of 1.2 Hz at 100, 250, 500 and 1000 samples a second: signal to noise 24, 8, -1 and -4 dB, drift "
    "0.00, 0.13, 0.55 and 0.73 of it; of its spectrum over a minute 0.00, 0.00, 0.00 and 0.00 is below 0.5 Hz"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
