#!/usr/bin/env bash
# micro-ct-image-quality-toolbox 0.2.1, scipy 1.17.1, matplotlib 3.11.2, numpy 2.4.6.
# Behaviour: before get_NPS transforms a region it takes off what the region's values follow along rows and along
# columns, and halves their sum. A ramp along one of them, as from a heel or cupping, stays by half in the noise: across
# 50 HU the lowest frequency of white noise of 10 HU has 200 times its power.
# Expected: the flat 0.25 HU2 mm2 of white noise (10 HU, pixels of 0.05 mm) up to what the fit takes with it, with and
# without a ramp: the two trends add up, each has the mean of the other taken off already.
# Seen: "power of white noise of 0.25 HU2 mm2 at the two lowest frequencies: no ramp 0.07, 0.20; of 10 HU 2.05, 1.14; of
# 50 HU 48.98, 23.54; of 50 HU both ways 97.70, 46.96"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check micro-ct-image-quality-toolbox==0.2.1 scipy==1.17.1 \
    matplotlib==3.11.2 numpy==2.4.6
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from microct_iq_toolbox.nps_calculator import get_NPS

PIXEL_MM = 0.05
noise = np.random.default_rng(0).normal(0, 10, (20, 64, 64))  # HU
ramp = np.arange(64) / 63 - 0.5


def lowest(across_hu, both=False):
    """Return the power in HU2 mm2 at the lowest frequencies of noise on a ramp along columns, or on both."""
    image = 1000 + noise + across_hu * (ramp + (ramp[:, None] if both else 0))
    return ", ".join(f"{power:.2f}" for power in get_NPS(image, np.array([[0, 64, 0, 64]]), PIXEL_MM)[1][:2])


line = (
    f"power of white noise of {100 * PIXEL_MM**2:.2f} HU2 mm2 at the two lowest frequencies: no ramp {lowest(0)}; of "
    f"10 HU {lowest(10)}; of 50 HU {lowest(50)}; of 50 HU both ways {lowest(50, True)}"
)
print(line)
expected = (
    "power of white noise of 0.25 HU2 mm2 at the two lowest frequencies: no ramp 0.07, 0.20; of 10 HU 2.05, 1.14;"
    " of 50 HU 48.98, 23.54; of 50 HU both ways 97.70, 46.96"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
