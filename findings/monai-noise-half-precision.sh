#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: add_noise of a diffusion scheduler turns the scheduler's own table of noise levels into the type of the
# images, for good: after one batch in half precision the first levels are 1, the share of noise in them 0, and every
# image that is drawn later, in whatever precision, is NaN.
# Expected: the table in the type of the batch for the time of the call, and images drawn after it as before.
# Seen: "finite values of drawn images: 100%, after a batch in 32 bits 100%, after one in 16 bits 0%; the first level
# 0.9999 is 1.0000, in torch.float16"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.schedulers import DDPMScheduler

scheduler = DDPMScheduler(num_train_timesteps=1000)


def drawn():
    """Return the share of values that are numbers, of images drawn in 32 bits by a network that sees no noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 1, 8, 8, generator=generator)
    for level in scheduler.timesteps:
        images, _ = scheduler.step(torch.zeros_like(images), int(level), images, generator=generator)
    return float(images.isfinite().float().mean())


before = drawn()
first = float(scheduler.alphas_cumprod[0])
batch = torch.rand(2, 1, 8, 8)
scheduler.add_noise(batch, torch.randn_like(batch), torch.tensor([0, 999]))
same = drawn()
scheduler.add_noise(batch.half(), torch.randn_like(batch).half(), torch.tensor([0, 999]))
after = drawn()
print(
    f"finite values of drawn images: {before:.0%}, after a batch in 32 bits {same:.0%}, after one in 16 bits "
    f"{after:.0%}; the first level {first:.4f} is {float(scheduler.alphas_cumprod[0]):.4f}, in "
    f"{scheduler.alphas_cumprod.dtype}"
)
sys.exit(not (before == same == 1 and after == 0 and scheduler.alphas_cumprod.dtype == torch.float16))
PYTHON
