#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: what a loss adds that no layer computes, such as FedProx' pull to the round's first weights or a penalty on
# large weights, is lost: DPOptimizer puts the noisy sum of clipped gradients in the place of each weight's gradient, and
# the hooks that fill that sum see layers only. The loss has the penalty's value, training takes place as without it, and
# nothing warns: FedProx under Opacus is FedAvg at every mu.
# Expected: a penalty that acts (it depends on no record, and costs no privacy), or a refusal.
# Seen: "distance to the first weights after 8 steps, mu 0, 1, 5: plain torch 3.17, 1.37, 0.09; Opacus 3.16, 3.16, 3.16"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from opacus import PrivacyEngine
from torch import nn

torch.manual_seed(0)
data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))


def distance(mu, private):
    """Return how far from the first weights a model is that began 3.16 away from them, after eight steps."""
    torch.manual_seed(1)
    network = nn.Linear(4, 2)
    first = [weight.detach().clone() for weight in network.parameters()]
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    if private:  # without noise, so that the two can be compared
        network, optimiser, loader = PrivacyEngine().make_private(
            module=network,
            optimizer=optimiser,
            data_loader=loader,
            noise_multiplier=0.0,
            max_grad_norm=1.0,
            poisson_sampling=False,
        )
    for images, labels in loader:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        apart = sum((weight - old).square().sum() for weight, old in zip(network.parameters(), first))
        (loss + mu / 2 * apart).backward()
        optimiser.step()
    return sum((weight - old).square().sum().item() for weight, old in zip(network.parameters(), first)) ** 0.5


plain, private = ([distance(mu, dp) for mu in (0, 1, 5)] for dp in (False, True))
print(
    "distance to the first weights after 8 steps, mu 0, 1, 5: "
    f"plain torch {', '.join(f'{it:.2f}' for it in plain)}; Opacus {', '.join(f'{it:.2f}' for it in private)}"
)
sys.exit(not (plain[2] < plain[1] < plain[0] / 2 and private[0] == private[1] == private[2] > 3))
PYTHON
