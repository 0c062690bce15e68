#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: DDIMScheduler lists the levels of noise evenly from the last to the first, and takes each step by the whole
# part of levels over steps. With 400 steps of 1000 levels the list goes down by 2 or 3 and each step by 2: a sample has
# less noise taken away than the next level expects, and the spread of what is drawn is wrong, without a warning.
# Expected: the spread of the distribution whose exact score is given: a ratio of about 1, as with 500 steps.
# Seen: "drawn over true spread: 500 steps 0.99, 400 steps 1.37, 300 steps 1.17, 250 steps 0.99"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 torch==2.13.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import torch
from monai.networks.schedulers import DDIMScheduler

SPREAD = 0.2


def drawn(steps):
    """Draw from a normal distribution around 0 by its exact noise: a linear map, whose factor is the spread."""
    scheduler = DDIMScheduler(1000, "cosine", clip_sample=False)
    scheduler.set_timesteps(steps)
    sample = torch.ones(1, dtype=torch.float64)
    for level in scheduler.timesteps.tolist():
        kept = float(scheduler.alphas_cumprod[level])
        noise = (1 - kept) ** 0.5 / (kept * SPREAD**2 + 1 - kept) * sample
        sample, _ = scheduler.step(noise, level, sample)
    return round(float(sample) / SPREAD, 2)


ratios = {steps: drawn(steps) for steps in (500, 400, 300, 250)}
print("drawn over true spread: " + ", ".join(f"{steps} steps {ratio}" for steps, ratio in ratios.items()))
sys.exit(list(ratios.values()) != [0.99, 1.37, 1.17, 0.99])
PYTHON
