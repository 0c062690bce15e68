#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: VNet with spatial_dims=2 drops out with Dropout3d, which takes the first axis of a (batch, channel, height,
# width) tensor for the channels: about half of the *images* of a batch are set to zero whole, at eight places.
# Expected: about half of each image's channels.
# Seen: "at the first dropout 7 of 8 images are zero as a whole, 0 have only some of their channels zero"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.nets import VNet

network = VNet(spatial_dims=2, in_channels=1, out_channels=2).train()
seen = []
first = next(layer for layer in network.modules() if type(layer).__name__.startswith("Dropout"))
first.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[0], output)))
torch.manual_seed(0)
network(torch.randn(8, 1, 32, 32))
given, output = seen[0]
dropped = ((output == 0) & (given != 0)).flatten(2).any(2)  # (images, channels)
whole = int(((output == 0).flatten(1).all(1)).sum())
partly = int((dropped.any(1) & ~(output == 0).flatten(1).all(1)).sum())
print(f"at the first dropout {whole} of 8 images are zero as a whole, {partly} have only some of their channels zero")
sys.exit(not (whole > 0 and partly == 0))
PYTHON
