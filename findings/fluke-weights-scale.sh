#!/usr/bin/env bash
# fluke-fl 0.8.1, torch 2.13.0, torchmetrics 1.9.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6,
# diskcache 5.6.3, omegaconf 2.4.0, seaborn 0.13.2, cerberus 1.3.8, rich 14.3.4, psutil 7.2.2.
# Behaviour: FedNova weighs each hospital's change by the inverse of its steps, and SCAFFOLD multiplies the mean change
# by global_step. Here these weights, which do not sum to 1, are put on the hospitals' models. Where hospitals take
# unequal numbers of steps, or global_step is not 1, all weights of the network are multiplied by their sum in each
# round.
# Expected: a network that no hospital changes stays as it is (Wang et al., NeurIPS 2020; Karimireddy et al., ICML 2020,
# algorithm 1: the server adds to its model).
# Seen: "a weight that nobody changes, after each of three rounds: FedNova times 1.67, 2.79, 4.65; SCAFFOLD with a
# global step of 0.5 times 0.50, 0.25, 0.13; FedAVG times 1.00, 1.00, 1.00"
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
from fluke.algorithms.fednova import FedNova
from fluke.algorithms.scaffold import SCAFFOLD
from fluke.config import OptimizerConfigurator
from fluke.data import FastDataLoader

FlukeENV().set_eval_cfg(locals=False, server=False, pre_fit=False, post_fit=False)


def factors(algorithm, rounds, **options):
    """Return by what the first weight is multiplied after each round of two hospitals, of 320 and 32 images."""
    torch.manual_seed(0)
    clients = []
    for number, images in enumerate((320, 32)):
        inputs = torch.randn(images, 3)
        loader = FastDataLoader(inputs, (inputs[:, 0] > 0).long(), num_labels=2, batch_size=16)
        rate = OptimizerConfigurator(DDict(name="SGD", lr=1e-12))  # nothing is learned
        made = algorithm.get_client_class(None)
        clients.append(made(number, loader, None, rate, torch.nn.CrossEntropyLoss(), local_epochs=1))
    server = algorithm.get_server_class(None)(torch.nn.Linear(3, 2), None, clients, **options)
    for client in clients:
        client.set_channel(server.channel)
    first, seen = server.model.weight[0, 0].item(), []
    for number in range(rounds):
        server.broadcast_model(clients)
        for client in clients:
            client.local_update(number + 1)
        server.aggregate(clients, list(server.receive_client_models(clients, state_dict=False)))
        seen.append(round(server.model.weight[0, 0].item() / first, 2))
    return seen


plain, nova = factors(FedAVG, 3), factors(FedNova, 3, weighted=True)
scaffold = factors(SCAFFOLD, 3, global_step=0.5)
words = [", ".join(f"{factor:.2f}" for factor in seen) for seen in (nova, scaffold, plain)]
print(
    f"a weight that nobody changes, after each of three rounds: FedNova times {words[0]}; SCAFFOLD with a global step of 0.5 "
    f"times {words[1]}; FedAVG times {words[2]}"
)
sys.exit(not (nova[2] > 4 and scaffold[2] < 0.2 and plain[2] == 1))
PYTHON
