#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: DifferentialPrivacyServerSideFixedClipping clips every client's update and adds noise for a mean of equal
# parts (multiplier times norm over the number of clients). FedAvg, which it wraps, weighs by examples: a client with
# most of them moves the result by nearly the whole norm. Only the optional accountant refuses unequal weights; without
# it nothing does.
# Expected: noise for the largest weight, equal weights, or a refusal.
# Seen: "noise multiplier 1, four clients: noise 0.25, the largest client moves the mean by 0.97: a multiplier of 0.26"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON' 2>"$place/log" || { cat "$place/log"; exit 1; }
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping, FedAvg
from flwr.supercore.task_identity import TaskIdentity

TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
EXAMPLES = 9700, 100, 100, 100


def mean(noise_multiplier, first, size=1):
    """Return the aggregate of four clients' updates: the first one's moves by `first`, the others' by next to nothing."""
    private = DifferentialPrivacyServerSideFixedClipping(FedAvg(), noise_multiplier, 1.0, 4)
    private.current_arrays = ArrayRecord({"w": Array(np.zeros(size))})
    replies = []
    for client, examples in enumerate(EXAMPLES):
        update = np.full(size, -1e-9)
        update[0] = first if client == 0 else -1e-9
        content = {"arrays": ArrayRecord({"w": Array(update)}), "metrics": MetricRecord({"num-examples": examples})}
        replies.append(Message(RecordDict(content), dst_node_id=client + 1, message_type="train"))
    return private.aggregate_train(1, replies)[0].to_numpy_ndarrays()[0]


moved = float(mean(0.0, 1.0)[0] - mean(0.0, 1e-9)[0])  # the client with 9700 examples, there or not
noise = float(mean(1.0, 1e-9, size=100000)[1:].std())
print(
    f"noise multiplier 1, four clients: noise {noise:.2f}, the largest client moves the mean by {moved:.2f}: "
    f"a multiplier of {noise / moved:.2f}"
)
sys.exit(not (abs(noise - 0.25) < 0.01 and abs(moved - 0.97) < 0.001))
PYTHON
