#!/usr/bin/env bash
# flwr 1.42.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: FedAvgM takes its steps with momentum for every array that is sent, and a state_dict of PyTorch, which
# Flower's examples send, holds the running variances of BatchNorm. With a momentum of 0.9 a variance that falls from
# its start of 1 overshoots below 0 in the second round: the model of all gives NaN for every image in evaluation, while
# training, which takes each batch's own variance, shows nothing. The reference does not speak of arrays that are not
# trained.
# Expected: running statistics averaged as FedAvg does, or a warning.
# Seen: "after two rounds, FedAvg and FedAvgM: smallest running variance 0.12 and -0.46, loss in training 0.72 and 0.72,
# images with an answer of NaN 0 and 160 of 160"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, FedAvgM
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
torch.manual_seed(0)
images = 0.1 * torch.randn(2, 160, 1, 8, 8)  # of two hospitals
labels = (images.mean(dim=(2, 3, 4)) > 0).long()


def network(state):
    one = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    if state:
        one.load_state_dict(state)
    return one


def rounds(strategy, number):
    """Return the smallest running variance, the loss in training and the answers after some rounds of ten steps."""
    torch.manual_seed(0)
    state = network(None).state_dict()
    strategy.current_arrays = ArrayRecord(state)  # as configure_train keeps them
    for at in range(number):
        replies, losses = [], []
        for hospital in range(2):
            local = network(state)
            step = torch.optim.SGD(local.parameters(), lr=0.01)
            for batch in range(10):
                some = slice(16 * batch, 16 * batch + 16)
                loss = torch.nn.functional.cross_entropy(local(images[hospital, some]), labels[hospital, some])
                step.zero_grad()
                loss.backward()
                step.step()
                losses.append(float(loss))
            content = RecordDict(
                {"arrays": ArrayRecord(local.state_dict()), "metrics": MetricRecord({"num-examples": 160})}
            )
            replies.append(Message(content, dst_node_id=hospital + 1, message_type="train"))
        arrays, _ = strategy.aggregate_train(at + 1, replies)
        state = arrays.to_torch_state_dict()
    answers = network(state).eval()(images[0])
    return float(state["1.running_var"].min()), sum(losses) / len(losses), int(answers.isnan().any(dim=1).sum())


plain, momentum = rounds(FedAvg(), 2), rounds(FedAvgM(server_momentum=0.9), 2)
print(
    f"after two rounds, FedAvg and FedAvgM: smallest running variance {plain[0]:.2f} and {momentum[0]:.2f}, loss in "
    f"training {plain[1]:.2f} and {momentum[1]:.2f}, images with an answer of NaN {plain[2]} and {momentum[2]} of 160"
)
sys.exit(not (plain[0] > 0 and plain[2] == 0 and momentum[0] < 0 and momentum[1] < 1 and momentum[2] == 160))
PYTHON
