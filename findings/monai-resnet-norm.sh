#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: resnet18 takes norm=("group", …) and uses it for its first layer only; all its blocks and shortcuts are built
# with BatchNorm: a network that was asked for without batch statistics has them in 19 layers.
# Expected: no BatchNorm at all.
# Seen: "resnet18 with group norm has 19 BatchNorm and 1 GroupNorm layers, densenet121 0 and 121"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.nets import DenseNet121, resnet18

norm = ("group", {"num_groups": 8})


def count(network, kind):
    return sum(isinstance(layer, kind) for layer in network.modules())


resnet = resnet18(spatial_dims=2, n_input_channels=1, num_classes=2, norm=norm)
densenet = DenseNet121(spatial_dims=2, in_channels=1, out_channels=2, norm=norm)
batch = torch.nn.modules.batchnorm._BatchNorm
print(
    f"resnet18 with group norm has {count(resnet, batch)} BatchNorm and {count(resnet, torch.nn.GroupNorm)} GroupNorm layers, "
    f"densenet121 {count(densenet, batch)} and {count(densenet, torch.nn.GroupNorm)}"
)
sys.exit((count(resnet, batch), count(densenet, batch)) != (19, 0))
PYTHON
