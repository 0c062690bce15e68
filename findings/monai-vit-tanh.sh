#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, einops 0.8.2.
# Behaviour: the classification head of ViT ends in a hyperbolic tangent by its default (post_activation="Tanh"), which
# no other classifier of MONAI has. Its two outputs lie between -1 and 1, so that softmax of them is between 0.119 and
# 0.881: a network that is right about every image is never surer than 88 %, and its cross-entropy does not go below
# 0.127. The ranking, and so AUROC, shows nothing of it.
# Expected: logits without a bound, as DenseNet121 and the others give them.
# Seen: "200 steps on two kinds of image that anybody can tell apart: ViT surest 0.881, loss 0.127; with
# post_activation='none' surest 0.9997, loss 0.0004; all right: True, True"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 einops==0.8.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.nets import ViT

labels = torch.arange(32) % 2
noise = torch.randn(32, 1, 16, 16, generator=torch.manual_seed(0))
images = labels[:, None, None, None] + 0.1 * noise


def trained(**how):
    torch.manual_seed(0)
    form = {"hidden_size": 32, "mlp_dim": 64, "num_layers": 1, "num_heads": 4, "spatial_dims": 2}
    network = ViT(1, (16, 16), (8, 8), classification=True, num_classes=2, **form, **how)
    optimiser = torch.optim.Adam(network.parameters(), 0.003)
    for _ in range(200):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images)[0], labels)
        loss.backward()
        optimiser.step()
    chances = network(images)[0].detach().softmax(1)
    return chances.max().item(), loss.item(), bool((chances.argmax(1) == labels).all())


usual, free = trained(), trained(post_activation="none")
print(
    f"200 steps on two kinds of image that anybody can tell apart: ViT surest {usual[0]:.3f}, loss {usual[1]:.3f}; with "
    f"post_activation='none' surest {free[0]:.4f}, loss {free[1]:.4f}; all right: {usual[2]}, {free[2]}"
)
bounded = 0.87 < usual[0] < 0.882 and usual[1] > 0.126
sys.exit(not (bounded and free[0] > 0.99 and free[1] < 0.01 and usual[2] and free[2]))
PYTHON
