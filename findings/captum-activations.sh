#!/usr/bin/env bash
# captum 0.9.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: GuidedBackprop changes the gradients of ReLU modules and no others: for a network with PReLU, as MONAI's
# UNet has, or LeakyReLU its result is the plain gradient, under the other name. DeepLift has no rule for PReLU or
# instance normalisation either: its attributions, which must add up to the change of the output, do not. Both say that
# they set hooks on activations, and neither says that it found none.
# Expected: a refusal or a warning, or the method.
# Seen: "guided is the plain gradient: ReLU no, LeakyReLU yes, PReLU yes; DeepLift explains of the change: ReLU 100 %,
# PReLU 132 %"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check captum==0.9.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from captum.attr import DeepLift, GuidedBackprop, Saliency
from torch import nn


def explained(activation):
    """Return whether the guided gradient is the plain one, and which part of the change DeepLift explains."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), activation(),
        nn.Conv2d(4, 4, 3, padding=1), activation(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).eval()  # fmt: skip
    image = torch.randn(1, 1, 8, 8)
    black = torch.zeros_like(image)
    guided = GuidedBackprop(network).attribute(image.clone().requires_grad_(), target=1)
    lifted = DeepLift(network).attribute(image.clone().requires_grad_(), black, target=1)
    plain = Saliency(network).attribute(image.clone().requires_grad_(), target=1, abs=False)
    change = (network(image) - network(black))[0, 1]
    return torch.allclose(guided, plain), float((lifted.sum() / change).detach())


found = {kind.__name__: explained(kind) for kind in (nn.ReLU, nn.LeakyReLU, nn.PReLU)}
print(
    "guided is the plain gradient: "
    + ", ".join(f"{name} {'yes' if same else 'no'}" for name, (same, _) in found.items())
    + "; DeepLift explains of the change: "
    + ", ".join(f"{name} {100 * found[name][1]:.0f} %" for name in ("ReLU", "PReLU"))
)
same = [same for same, _ in found.values()]
sys.exit(not (same == [False, True, True] and abs(found["ReLU"][1] - 1) < 1e-3 and abs(found["PReLU"][1] - 1) > 0.1))
PYTHON
