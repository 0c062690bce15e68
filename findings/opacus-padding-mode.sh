#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0.
# Behaviour: GradSampleModule gives Conv2d(padding_mode="reflect") gradients of single records as if it padded with zeros.
# Inputs in torch.channels_last get wrong ones, too. Nothing warns.
# Expected: the gradient that backward() gives for the record by itself, or a refusal.
# Seen: "relative error: zeros 0, reflect 0.4, circular 0.5, channels_last 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from opacus import GradSampleModule


def error(padding_mode, memory_format=torch.contiguous_format):
    """Compare the weight's gradients of four records with those of backward() for each by itself."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode=padding_mode).double().to(memory_format=memory_format)
    images = torch.randn(4, 3, 9, 9).double().contiguous(memory_format=memory_format)
    private = GradSampleModule(convolution, loss_reduction="sum")
    private(images).pow(2).sum().backward()
    rows = private._module.weight.grad_sample
    worst = 0.0
    for image, row in zip(images, rows):
        plain = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode=padding_mode).double()
        plain.load_state_dict(private._module.state_dict())
        plain(image[None]).pow(2).sum().backward()
        worst = max(worst, float((row - plain.weight.grad).abs().max() / plain.weight.grad.abs().max()))
    return worst


errors = {mode: error(mode) for mode in ("zeros", "reflect", "circular")}
errors["channels_last"] = error("zeros", torch.channels_last)
print("relative error: " + ", ".join(f"{name} {size:.1g}" for name, size in errors.items()))
sys.exit(not (errors.pop("zeros") < 1e-9 and all(size > 0.1 for size in errors.values())))
PYTHON
