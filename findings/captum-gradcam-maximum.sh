#!/usr/bin/env bash
# captum 0.9.0, MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: Grad-CAM of a network that pools by the maximum (AdaptiveMaxPool, or mean and maximum side by side) can be
# empty at the very place that the answer comes from. The gradient of a maximum lies at one place of a channel; Grad-CAM
# takes its mean over all places, adds what the mean branch has against the class, and drops what is below 0. Both
# libraries do so without a word, and the map still changes with the weights, so that it passes a sanity check.
# Expected: the largest value at the one bright place, from whose maximum all of the score comes; HiResCAM has it.
# Seen: "the score is 20.0 from the maximum and -1.6 from the mean; at the bright place captum's Grad-CAM is 0.0, MONAI's before
# it is scaled 0.0, gradient times activation 19.7"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check captum==0.9.0 monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from monai.visualize import GradCAM
from torch import nn


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = nn.Identity()

    def parts(self, images):
        seen = self.seen(images)
        return 10 * seen.amax((2, 3)), -40 * seen.mean((2, 3))

    def forward(self, images):
        return sum(self.parts(images))


network = Pooled()
image = torch.zeros(1, 1, 16, 16)
image[..., 4:7, 4:7] = 1
image[..., 5, 5] = 2
image.requires_grad_()
from_maximum, from_mean = (float(part.detach()) for part in network.parts(image))
captums = LayerGradCam(network, network.seen).attribute(image, target=0, relu_attributions=True)
monais = GradCAM(network, "seen").compute_map(image, class_idx=0)
kept = LayerGradientXActivation(network, network.seen).attribute(image, target=0)
found = [round(float(each.detach()[0, 0, 5, 5]), 1) for each in (captums, monais, kept)]
print(
    f"the score is {from_maximum:.1f} from the maximum and {from_mean:.1f} from the mean; at the bright place captum's "
    f"Grad-CAM is {found[0]}, MONAI's before it is scaled {found[1]}, gradient times activation {found[2]}"
)
sys.exit(not (found[:2] == [0.0, 0.0] and found[2] > 19))
PYTHON
