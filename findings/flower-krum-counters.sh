#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: Krum and MultiKrum measure the distance of two hospitals over all arrays that they send. A state_dict of
# PyTorch, which Flower's examples send, holds the number of batches seen (num_batches_tracked) of every BatchNorm:
# whole numbers that differ by tens where weights differ by hundredths. Krum then chooses the hospital with the most
# usual number of batches, whatever its weights are: one that sends noise is chosen for the model of all, and the
# others, which agree, are not. Bulyan chooses by the same distances. The reference calls them distances between
# parameters.
# Expected: the hospital whose weights are nearest to the others' to be chosen.
# Seen: "six hospitals agree within 0.01, one sends noise of 0.5: the weights that Krum chooses are off by 0.010, and by
# 0.526 where each hospital's number of batches is sent, too"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Krum
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
random = np.random.default_rng(0)
model = random.normal(0, 0.1, 1000)
sent = [model + random.normal(0, 0.01, 1000) for _ in range(6)] + [random.normal(0, 0.5, 1000)]  # the last is broken
batches = [60, 80, 90, 110, 120, 140, 100]  # of each of 20 BatchNorms, as in ResNet-18


def error(with_batches):
    """Return the root mean square by which the weights that Krum chooses differ from those that six of seven sent."""
    replies = []
    for node, (weights, count) in enumerate(zip(sent, batches)):
        arrays = {"layer.weight": Array(weights.astype(np.float32))}
        if with_batches:
            arrays |= {f"norm{layer}.num_batches_tracked": Array(np.array(count)) for layer in range(20)}
        content = RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": 1})})
        replies.append(Message(content, dst_node_id=node + 1, message_type="train"))
    chosen, _ = Krum(num_malicious_nodes=1).aggregate_train(1, replies)
    return float(np.sqrt(np.mean((chosen["layer.weight"].numpy() - model) ** 2)))


without, with_batches = error(False), error(True)
print(
    f"six hospitals agree within 0.01, one sends noise of 0.5: the weights that Krum chooses are off by {without:.3f}, "
    f"and by {with_batches:.3f} where each hospital's number of batches is sent, too"
)
sys.exit(not (without < 0.02 and with_batches > 0.4))
PYTHON
