#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: RandRicianNoise is the magnitude of a value with noise, so that it folds what is below zero upwards,
# however little noise is asked for. After NormalizeIntensity, which leaves half of an MR image below zero, dark tissue
# at -1 is as bright as bright tissue at 1; CT at -1000 HU is at +1000. Nothing is said, and the transform has no
# parameter for it.
# Expected: noise of a standard deviation of 0.01 changes a value by some hundredths.
# Seen: "noise of 0.01: -1 becomes 1.00, -0.5 becomes 0.50, 1 stays 1.00; air of -1000 HU becomes 1000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import RandRicianNoise


def noisy(value):
    noise = RandRicianNoise(prob=1.0, std=0.01, sample_std=False)
    noise.set_random_state(0)
    return noise(torch.full((1, 64, 64), value)).mean().item()


dark, grey, bright, air = (noisy(value) for value in (-1.0, -0.5, 1.0, -1000.0))
print(
    f"noise of 0.01: -1 becomes {dark:.2f}, -0.5 becomes {grey:.2f}, 1 stays {bright:.2f}; air of -1000 HU becomes {air:.0f}"
)
sys.exit([round(value, 1) for value in (dark, grey, bright, air)] != [1.0, 0.5, 1.0, 1000.0])
PYTHON
