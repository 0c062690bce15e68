#!/usr/bin/env bash
# fluke-fl 0.8.1, torch 2.13.0, torchmetrics 1.9.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6,
# diskcache 5.6.3, omegaconf 2.4.0, seaborn 0.13.2, cerberus 1.3.8, rich 14.3.4, psutil 7.2.2.
# Behaviour: FedOpt keeps its server's learning rate, 0.001, where FedAVG keeps the step from the old model to the mean.
# That step is taken first, and FedOpt's own with the same rate after it. The running means and variances of BatchNorm,
# which FedOpt leaves to the first, come nearer to those of the hospitals by a thousandth a round: the network is judged
# with the statistics that it began with.
# Expected: running statistics of the mean of the hospitals, and pseudo-gradients of full size (Reddi et al., ICLR 2021,
# algorithm 2).
# Seen: "running mean of images with a mean of 40 after five rounds: FedOpt 0.18, FedAVG 40.0"
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
from fluke.algorithms.fedopt import FedOpt
from fluke.config import OptimizerConfigurator
from fluke.data import FastDataLoader

FlukeENV().set_eval_cfg(locals=False, server=False, pre_fit=False, post_fit=False)


def statistics(algorithm):
    """Return the running mean after five rounds of two hospitals whose images have a mean of 40."""
    torch.manual_seed(0)
    clients = []
    for number in range(2):
        inputs = 40 + torch.randn(320, 3)
        loader = FastDataLoader(inputs, (inputs[:, 0] > 40).long(), num_labels=2, batch_size=16)
        rate = OptimizerConfigurator(DDict(name="SGD", lr=0.1))
        made = algorithm.get_client_class(None)
        clients.append(made(number, loader, None, rate, torch.nn.CrossEntropyLoss(), local_epochs=1))
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    server = algorithm.get_server_class(None)(network, None, clients)
    for client in clients:
        client.set_channel(server.channel)
    for number in range(5):
        server.broadcast_model(clients)
        for client in clients:
            client.local_update(number + 1)
        server.aggregate(clients, list(server.receive_client_models(clients, state_dict=False)))
    return float(server.model[0].running_mean.mean())


adaptive, plain = statistics(FedOpt), statistics(FedAVG)
print(f"running mean of images with a mean of 40 after five rounds: FedOpt {adaptive:.2f}, FedAVG {plain:.1f}")
sys.exit(not (adaptive < 1 and plain > 30))
PYTHON
