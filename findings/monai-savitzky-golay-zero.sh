#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: SavitzkyGolaySmooth fits its polynomial in 32 bits, by powers of the place in the window from -25 to 25:
# for windows of 51 and more at order 5, and 151 at order 4, the equations are taken for ones without a solution, and
# all coefficients come out as 0. A signal of 10 is one of 0.00000, without a warning, where a window of 11 at order 3
# smooths it rightly. One of 21 at order 3 was right in some calls, and 0.08 in others.
# Expected: the coefficients of scipy's savgol_filter, which add up to 1.
# Seen: "greatest value of a wave about 10: window 11, order 3: 11.20042, by scipy 11.20; window 51, order 5: 0.00000,
# by scipy 11.06; window 101, order 5: 0.00000, by scipy 11.02; window 151, order 4: 0.00000, by scipy 11.02"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from monai.transforms import SavitzkyGolaySmooth
from scipy.signal import savgol_filter

rng = np.random.default_rng(0)
wave = 10 + np.sin(np.linspace(0, 12, 1000)) + 0.2 * rng.standard_normal(1000)
seen = {}
for window, order in ((11, 3), (51, 5), (101, 5), (151, 4)):
    smooth = np.asarray(SavitzkyGolaySmooth(window, order)(torch.tensor(wave, dtype=torch.float32)[None]))[0]
    right = savgol_filter(wave, window, order)
    inner = slice(window, -window)
    seen[window, order] = (float(np.abs(smooth[inner]).max()), float(np.abs(right[inner]).max()))
print(
    "greatest value of a wave about 10: "
    + "; ".join(
        f"window {window}, order {order}: {value:.5f}, by scipy {right:.2f}"
        for (window, order), (value, right) in seen.items()
    )
)
first, *rest = seen.values()
sys.exit(not (abs(first[0] - first[1]) < 0.01 and all(value < 1e-6 and right > 10 for value, right in rest)))
PYTHON
