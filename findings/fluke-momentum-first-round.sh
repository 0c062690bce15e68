#!/usr/bin/env bash
# fluke-fl 0.8.1, torch 2.13.0, torchmetrics 1.9.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6,
# diskcache 5.6.3, omegaconf 2.4.0, seaborn 0.13.2, cerberus 1.3.8, rich 14.3.4, psutil 7.2.2.
# Behaviour: the server of FedAVGM makes its momentum in the first round, of zeros, and subtracts that: what the
# hospitals learned in the first round is thrown away. A run of one round leaves the network as it was; each later round
# is one behind.
# Expected: the momentum after the first round is the first change (Hsu et al. 2019: v becomes beta v plus the change,
# and the model moves by v).
# Seen: "accuracy after the first and second round: FedAVGM with a momentum of 0 0.51 and 0.99, FedAVG 0.97 and 0.99"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 diskcache==5.6.3 \
    omegaconf==2.4.0 seaborn==0.13.2 cerberus==1.3.8 rich==14.3.4 psutil==7.2.2 scikit-learn==1.9.1 scipy==1.17.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps fluke-fl==0.8.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from fluke import DDict, FlukeENV
from fluke.algorithms.fedavg import FedAVG
from fluke.algorithms.fedavgm import FedAVGM
from fluke.config import OptimizerConfigurator
from fluke.data import FastDataLoader

FlukeENV().set_eval_cfg(locals=False, server=False, pre_fit=False, post_fit=False)


def accuracies(algorithm, rounds, **options):
    """Return the accuracy after each round of two hospitals, of 320 and 32 images."""
    torch.manual_seed(0)
    clients, images = [], []
    for number, count in enumerate((320, 32)):
        inputs = torch.randn(count, 8)
        ill = (inputs.sum(dim=1) > 0).long()
        images.append((inputs, ill))
        loader = FastDataLoader(inputs, ill, num_labels=2, batch_size=16)
        rate = OptimizerConfigurator(DDict(name="SGD", lr=0.5))
        made = algorithm.get_client_class(None)
        clients.append(made(number, loader, None, rate, torch.nn.CrossEntropyLoss(), local_epochs=2))
    network = torch.nn.Linear(8, 2)
    torch.nn.init.zeros_(network.weight)
    server = algorithm.get_server_class(None)(network, None, clients, **options)
    for client in clients:
        client.set_channel(server.channel)
    seen = []
    for number in range(rounds):
        server.broadcast_model(clients)
        for client in clients:
            client.local_update(number + 1)
        server.aggregate(clients, list(server.receive_client_models(clients, state_dict=False)))
        with torch.no_grad():
            right = torch.cat([server.model(inputs).argmax(dim=1) == ill for inputs, ill in images])
        seen.append(round(float(right.float().mean()), 2))
    return seen


momentum, plain = accuracies(FedAVGM, 2, momentum=0.0), accuracies(FedAVG, 2)
print(
    f"accuracy after the first and second round: FedAVGM with a momentum of 0 {momentum[0]:.2f} and {momentum[1]:.2f}, FedAVG "
    f"{plain[0]:.2f} and {plain[1]:.2f}"
)
sys.exit(not (momentum[0] < 0.6 and momentum[1] > 0.9 and plain[0] > 0.9))
PYTHON
