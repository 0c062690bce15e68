#!/usr/bin/env bash
# pfl 0.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: pfl averages named_parameters(). BatchNorm's running mean and variance are buffers: they are neither put back
# between two users nor averaged, but go on from user to user in the one network that the simulation has. What the
# federated model normalises by is mostly what the user had who came last. Nothing is logged.
# Expected: the mean of the users' running statistics, as of the other weights, or those from before the round; in either
# case not what depends on the order of users.
# Seen: "running mean of two users with means 0 and 100: 93.8 if the one with 100 comes last, 5.9 if it comes first; the
# mean of what each would have had alone is 46.9"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 pfl==0.6.0
cd "$place"
cat >two_users.py <<'PYTHON'
import sys

import torch
from torch import nn

from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.model.pytorch import PyTorchModel


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1, momentum=0.5)
        self.last = nn.Linear(1, 1)

    def loss(self, x, y):
        self.train()
        return nn.functional.mse_loss(self.last(self.norm(x)), y)

    def metrics(self, x, y):
        return {}


def running_mean(*levels):
    order = iter(levels)
    spread = torch.linspace(-1, 1, 8)[:, None]
    users = FederatedDataset(lambda level: Dataset((spread + level, torch.zeros(8, 1))), lambda: next(order))
    network = Network()
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), 1.0))
    rounds = NNAlgorithmParams(
        central_num_iterations=1, evaluation_frequency=1, train_cohort_size=len(levels), val_cohort_size=0
    )
    how = NNTrainHyperParams(local_num_epochs=4, local_learning_rate=0.01, local_batch_size=8)
    FederatedAveraging().run(rounds, SimulatedBackend(users, users), model, how, NNEvalHyperParams(local_batch_size=None))
    return network.norm.running_mean.item()


last, first = running_mean(0.0, 100.0), running_mean(100.0, 0.0)
alone = (running_mean(0.0) + running_mean(100.0)) / 2
print(
    f"running mean of two users with means 0 and 100: {last:.1f} if the one with 100 comes last, {first:.1f} if it comes "
    f"first; the mean of what each would have had alone is {alone:.1f}",
    file=sys.stderr,
)
sys.exit(not (abs(last - 93.75) < 0.1 and abs(first - 5.86) < 0.1 and abs(alone - 46.875) < 0.1))
PYTHON
"$place/env/bin/python" two_users.py >log 2>seen || { tail -n 20 log seen; exit 1; }
grep "running mean" seen
