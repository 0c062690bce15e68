#!/usr/bin/env bash
# pyphysio 4.10.0, scipy 1.15.3, xarray 2025.6.1, numpy 2.2.6.
# Behaviour: PSD with the scaling `density` divides the density by the number of its frequencies, nfft / 2 + 1, so that
# it depends on how finely it is sampled. PowerInBand makes up for that by the sampling rate, as if there were nfft of
# them: every power is twice what it is. All powers of the heart's rhythms are twice those of other programs and of the
# published limits.
# Expected: half of the square of 30 ms, 450 ms2, and for noise its variance: the power of a signal is its variance.
# Seen: "power from 0.04 to 0.15 Hz of a rhythm of 30 ms: 899 ms2 (scipy: 450); of all frequencies of noise with the
# variance 100: 201 (scipy: 100); peak density with nfft 2048 and 4096: 20.6 and 10.3 (scipy: 21101 and 21101)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pyphysio==4.10.0 scipy==1.15.3 xarray==2025.6.1 \
    numpy==2.2.6 pandas==2.3.3
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
from scipy.signal import welch

with contextlib.redirect_stdout(io.StringIO()):
    import pyphysio
    from pyphysio.indicators.frequencydomain import PowerInBand
    from pyphysio.utils import PSD


def powers(values, low, high):
    """Return the power of a signal of 4 Hz in a band, and that of SciPy by the same method."""
    seen = PowerInBand(low, high, method="welch")(pyphysio.create_signal(values, sampling_freq=4))
    places, density = welch(values - values.mean(), fs=4, window="hamming", nfft=2048)
    return float(np.ravel(seen.values)[0]), float(density[(places >= low) & (places < high)].sum() * 4 / 2048)


def peaks(values, points):
    """Return the highest density by so many points, and that of SciPy."""
    seen = PSD(method="welch", nfft=points, scaling="density")(pyphysio.create_signal(values, sampling_freq=4))
    return float(seen.values.max()), float(welch(values, fs=4, window="hamming", nfft=points)[1].max())


rhythm = 30 * np.sin(2 * np.pi * 0.1 * np.arange(0, 300, 0.25))
noise = np.random.default_rng(0).normal(0, 10, 2400)
(seen, right), (whole, variance) = powers(rhythm, 0.04, 0.15), powers(noise, 0.0, 2.0)
(coarse, coarse_right), (fine, fine_right) = peaks(rhythm, 2048), peaks(rhythm, 4096)
print(
    f"power from 0.04 to 0.15 Hz of a rhythm of 30 ms: {seen:.0f} ms2 (scipy: {right:.0f}); of all frequencies of "
    f"noise with the variance {noise.var():.0f}: {whole:.0f} (scipy: {variance:.0f}); peak density with nfft 2048 and "
    f"4096: {coarse:.1f} and {fine:.1f} (scipy: {coarse_right:.0f} and {fine_right:.0f})"
)
twice = 1.95 < seen / 450 < 2.05 and 1.95 < whole / noise.var() < 2.05 and 440 < right < 460
sys.exit(0 if twice and 1.9 < coarse / fine < 2.1 and abs(coarse_right / fine_right - 1) < 0.05 else "this has changed")
PYTHON
