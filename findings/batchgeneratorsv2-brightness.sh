#!/usr/bin/env bash
# batchgeneratorsv2 0.3.6, torch 2.13.0, numpy 2.4.6.
# Behaviour: BrightnessAdditiveTransform by its default, the same shift for all channels, draws it evenly between mu and
# sigma, not from a Gaussian of mean mu and deviation sigma: by (0, 0.5) no image is ever darker, and by (2, 0.5) it
# refuses. With synchronize_channels=False it is a Gaussian.
# Expected: "Sampled from a Gaussian distribution (mu, sigma)" (its documentation), as in batchgenerators.
# Seen: "a Gaussian of mean 0 and deviation 0.5; one shift for all channels: 0.00 of images darker, mean shift 0.25,
# deviation 0.15, largest 0.50; each channel its own: 0.50 of images darker, mean shift 0.01, deviation 0.50, largest
# 1.81"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check batchgeneratorsv2==0.3.6 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform

said, seen = [], []
for together in (True, False):
    np.random.seed(0)
    torch.manual_seed(0)
    transform = BrightnessAdditiveTransform(mu=0.0, sigma=0.5, synchronize_channels=together)
    shifts = np.array([float(transform(image=torch.zeros(1, 2, 2))["image"].mean()) for _ in range(4000)])
    seen.append((float((shifts < 0).mean()), float(shifts.mean())))
    said.append(
        f"{'one shift for all channels' if together else 'each channel its own'}: {seen[-1][0]:.2f} of images darker, "
        f"mean shift {abs(seen[-1][1]):.2f}, deviation {shifts.std():.2f}, largest {shifts.max():.2f}"
    )
print("a Gaussian of mean 0 and deviation 0.5; " + "; ".join(said))
sys.exit(not (seen[0][0] == 0 and abs(seen[0][1] - 0.25) < 0.02 and 0.45 < seen[1][0] < 0.55))
PYTHON
