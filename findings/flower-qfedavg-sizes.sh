#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: QFedAvg by q = 0, which is documented as "equivalent to FedAvg", leaves out how many patients a hospital
# has: one with 10 moves the model as much as one with 1000. With q above 0, which is to help the hospital with the
# larger loss, so does a small hospital in the place of a large one. The paper has no weights as it draws the devices of
# a round by their share of the data; here all hospitals are asked, or drawn evenly.
# Expected: the mean of FedAvg, weighted by the examples that each reply states, for q = 0.
# Seen: "1000 patients send 1, 10 patients send -1: QFedAvg by q = 0 0.000, FedAvg 0.980"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, QFedAvg
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


class Nodes:
    """Two hospitals, which are there."""

    def get_node_ids(self):
        return [1, 2]


def model(value):
    return ArrayRecord({"weight": Array(np.array([value]))})


def after(strategy):
    """Return the model after a round in which 1000 patients send 1 and 10 patients send -1, from 0."""
    list(strategy.configure_train(1, model(0.0), ConfigRecord({}), Nodes()))
    replies = []
    for node, (examples, value) in enumerate(((1000, 1.0), (10, -1.0)), start=1):
        metrics = MetricRecord({"num-examples": examples, "train_loss": 0.5})
        content = RecordDict({"arrays": model(value), "metrics": metrics})
        replies.append(Message(content, dst_node_id=node, message_type="train"))
    arrays, _ = strategy.aggregate_train(1, replies)
    return float(arrays.to_numpy_ndarrays()[0][0])


fair, plain = after(QFedAvg(client_learning_rate=0.1, q=0.0)), after(FedAvg())
print(f"1000 patients send 1, 10 patients send -1: QFedAvg by q = 0 {fair:.3f}, FedAvg {plain:.3f}")
sys.exit(not (abs(fair) < 1e-9 and abs(plain - 990 / 1010) < 1e-6))
PYTHON
