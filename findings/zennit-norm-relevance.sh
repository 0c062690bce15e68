#!/usr/bin/env bash
# zennit 0.5.1, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: the composites for layer-wise relevance propagation let BatchNorm pass relevance on and have no rule for
# GroupNorm and InstanceNorm, as networks for segmentation have them: for those the relevance goes through the gradient,
# which is divided by the spread of the image. Less than a hundredth of the answer arrives at the image, and a
# thousandth of that where the same image is in a unit a thousand times smaller, though the answer is the same to the
# digit. No warning is given; captum's method stops at a layer that it does not know.
# Expected: relevance that adds up to the answer, as with BatchNorm, or an error.
# Seen: "part of the answer that is explained, image in 0..1 and 0..1000: BatchNorm 0.99993 and 1.00000, GroupNorm
# -0.00117 and -0.00000, InstanceNorm 0.00934 and 0.00001; answer with InstanceNorm -0.0763 and -0.0763"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check zennit==0.5.1 torch==2.13.0 torchvision==0.28.0 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch

if torch.version.cuda is None:  # torchvision, whose operators are not used, asks for them when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torch.nn import BatchNorm2d, Conv2d, Flatten, GroupNorm, InstanceNorm2d, Linear, ReLU, Sequential
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlus


def explained(norm, unit):
    """Return the answer of a network without biases for an image in a unit, and the part of it that is explained."""
    torch.manual_seed(0)
    layers = [Conv2d(1, 4, 3, padding=1, bias=False), norm(), ReLU(), Conv2d(4, 4, 3, padding=1, bias=False), ReLU()]
    network = Sequential(*layers, Flatten(), Linear(256, 1, bias=False)).eval()
    image = (unit * torch.rand(1, 1, 8, 8)).requires_grad_()
    answer = network(image).detach()
    with Gradient(network, composite=EpsilonPlus()) as attributor:
        _, relevance = attributor(image, answer)
    return float(answer), float(relevance.sum() / answer)


norms = {
    "BatchNorm": lambda: BatchNorm2d(4),
    "GroupNorm": lambda: GroupNorm(2, 4),
    "InstanceNorm": lambda: InstanceNorm2d(4),
}
rows = {name: [explained(norm, unit) for unit in (1, 1000)] for name, norm in norms.items()}
print(
    "part of the answer that is explained, image in 0..1 and 0..1000: "
    + ", ".join(f"{name} {low[1]:.5f} and {high[1]:.5f}" for name, (low, high) in rows.items())
    + f"; answer with InstanceNorm {rows['InstanceNorm'][0][0]:.4f} and {rows['InstanceNorm'][1][0]:.4f}"
)
batch, *others = rows.values()
known = all(abs(part - 1) < 0.01 for _, part in batch)
lost = all(abs(low[0] / high[0] - 1) < 0.01 and abs(low[1]) < 0.05 and abs(high[1]) < 1e-4 for low, high in others)
sys.exit(not (known and lost))
PYTHON
