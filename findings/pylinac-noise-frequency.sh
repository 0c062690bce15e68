#!/usr/bin/env bash
# pylinac 3.49.0, numpy 2.4.6.
# Behaviour: max_frequency and average_power of a noise power spectrum, which the analyses of CatPhan and Quart
# phantoms report, take no pixel size. Frequencies are places in a spectrum that goes from 0 to the corner of the
# plane: 1 is 0.71 of the sampling frequency, where the plot of the same spectrum says "mm^-1". Noise of 0.25 per mm
# has its peak at 0.35 in pixels of 1 mm and at 0.18 in pixels of 0.5 mm. The average power is no power: it is the
# mean frequency, the same for noise ten times as strong.
# Expected: 0.25 per mm for both sizes of pixels, and an average power 100 times as high.
# Seen: "peak and average power of noise of 0.25 per mm, and its mean frequency, pixels of 1 mm: 0.35, 0.35 (0.25 per
# mm); of 0.5 mm: 0.18, 0.17 (0.25 per mm); ten times as strong: 0.35, 0.35 (0.25 per mm)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pylinac==3.49.0 pydicom==2.4.5 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from pylinac.core.nps import average_power, max_frequency, noise_power_spectrum_1d, noise_power_spectrum_2d


def found(pixel_mm, deviation_hu):
    """Return most populous frequency and average power of noise of 0.25 per mm, and that of its largest coefficient."""
    random = np.random.default_rng(0)
    along = np.fft.fftfreq(128, pixel_mm)
    frequency = np.hypot(*np.meshgrid(along, along))
    band = np.exp(-(((frequency - 0.25) / 0.02) ** 2) / 2)
    noise = [np.fft.ifft2(np.fft.fft2(random.normal(0, deviation_hu, (128, 128))) * band).real for _ in range(40)]
    spectrum = noise_power_spectrum_1d(noise_power_spectrum_2d(pixel_mm, noise))
    power = np.mean([abs(np.fft.fft2(n)) ** 2 for n in noise], 0)
    right = np.average(frequency, weights=power)
    return f"{max_frequency(spectrum):.2f}, {average_power(spectrum):.2f} ({right:.2f} per mm)"


line = (
    f"peak and average power of noise of 0.25 per mm, and its mean frequency, pixels of 1 mm: {found(1, 20)}; of 0.5 "
    f"mm: {found(0.5, 20)}; ten times as strong: {found(1, 200)}"
)
print(line)
expected = (
    "peak and average power of noise of 0.25 per mm, and its mean frequency, pixels of 1 mm: 0.35, 0.35 (0.25 per "
    "mm); of 0.5 mm: 0.18, 0.17 (0.25 per mm); ten times as strong: 0.35, 0.35 (0.25 per mm)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
