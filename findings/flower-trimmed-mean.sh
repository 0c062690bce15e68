#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: FedTrimmedAvg leaves out beta times the hospitals at either end, cut to a whole number. With its default of 0.2
# and up to four hospitals that is none: the strategy that is chosen so that one broken hospital does not matter is the
# plain mean, and that hospital moves the model by a quarter of what it sends. SciPy's trim_mean, whose definition this is,
# warns of it in its reference; Flower's does not, and nothing is logged. FedMedian is not concerned.
# Expected: at least one left out at either end where beta is above 0, or an error.
# Seen: "one hospital sends 1000, the others 1: trimmed mean of 3, 4, 5 hospitals 334.00, 250.75, 1.00; median of 4 1.00"
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
from flwr.serverapp.strategy import FedMedian, FedTrimmedAvg
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1


def mean(strategy, hospitals):
    replies = []
    for node in range(hospitals):
        sent = ArrayRecord({"weight": Array(np.array([1.0 if node else 1000.0]))})
        content = RecordDict({"arrays": sent, "metrics": MetricRecord({"num-examples": 1})})
        replies.append(Message(content, dst_node_id=node + 1, message_type="train"))
    arrays, _ = strategy.aggregate_train(1, replies)
    return float(arrays.to_numpy_ndarrays()[0][0])


trimmed = [mean(FedTrimmedAvg(), hospitals) for hospitals in (3, 4, 5)]
median = mean(FedMedian(), 4)
print(
    "one hospital sends 1000, the others 1: trimmed mean of 3, 4, 5 hospitals "
    f"{', '.join(f'{it:.2f}' for it in trimmed)}; median of 4 {median:.2f}"
)
sys.exit(not (trimmed == [334, 250.75, 1] and median == 1))
PYTHON
