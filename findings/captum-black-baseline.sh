#!/usr/bin/env bash
# captum 0.9.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: IntegratedGradients with its defaults (black as the baseline, 50 steps) misses nearly all of the change where
# a network normalises each image (GroupNorm, as InstanceNorm and LayerNorm). Such a network says the same of an image
# and of a darker copy, so that its answer jumps at the very beginning of the way from black, between two steps of the
# sum. How many steps find the jump depends on weights and eps: here 200 do, in other networks 800 do not. From an even
# grey the values add up, and without a normalisation they do so from black.
# Expected: attributions that add up to the change of the output, which is the method's axiom, or a warning.
# Seen: "explained of the change: plain from black 100 %, GroupNorm from black 2 %, GroupNorm from grey 101 %"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check captum==0.9.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from captum.attr import IntegratedGradients
from torch import nn

torch.set_num_threads(1)
rows, columns = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
image = 0.4 * (rows**2 + columns**2 < 0.7).float()[None, None]
image[..., 14:20, 18:24] += 0.5
black, grey = torch.zeros_like(image), torch.full_like(image, float(image.mean()))


def explained(norm, baseline):
    """Return which part of the change of an output the attributions add up to, in percent."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False), norm(), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, bias=False), norm(), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 2),
    ).eval()  # fmt: skip
    found = IntegratedGradients(network).attribute(image, baseline, target=1)
    return round(float(100 * (found.sum() / (network(image) - network(baseline))[0, 1]).detach()))


def grouped():
    return nn.GroupNorm(4, 16)


plain, dark, even = explained(nn.Identity, black), explained(grouped, black), explained(grouped, grey)
print(f"explained of the change: plain from black {plain} %, GroupNorm from black {dark} %, GroupNorm from grey {even} %")
sys.exit(not (abs(plain - 100) < 10 and abs(even - 100) < 10 and abs(dark - 100) > 50))
PYTHON
