#!/usr/bin/env bash
# flwr 1.42.0, xgboost 3.2.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: FedXgbBagging takes as many trees of each hospital as it grows side by side, which is one, and not as many
# as it sends: of five rounds of boosting between two exchanges, as Flower's guide has them ("extract the last
# N=num_local_round trees for server aggregation"), the first tree is kept and four are thrown away, without a word. All
# trees are kept only from the first hospital of the first round. It can be seen in the loss alone.
# Expected: All trees that the hospitals send, as their number of examples counts for all.
# Seen: "four exchanges of three hospitals; one tree each: 12 trees sent, 12 kept, log-loss 0.56; five trees each: 60
# sent, 16 kept, log-loss 0.54"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 xgboost==3.2.0 scikit-learn==1.9.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
import xgboost
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedXgbBagging
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
random = np.random.default_rng(0)
SETTINGS = {"objective": "binary:logistic", "eta": 0.05, "max_depth": 3, "nthread": 1}


def patients(count):
    values = random.normal(size=(count, 3))
    return xgboost.DMatrix(values, label=random.random(count) < 1 / (1 + np.exp(-2 * values[:, 0])))


hospitals, test = [patients(500) for _ in range(3)], patients(5000)


def local(model, data, rounds):
    """Return the trees that a hospital adds to the model in some rounds of boosting."""
    if not model:
        return xgboost.train(SETTINGS, data, num_boost_round=rounds)
    booster = xgboost.Booster(params=SETTINGS)
    booster.load_model(bytearray(model))
    for _ in range(rounds):
        booster.update(data, booster.num_boosted_rounds())
    return booster[booster.num_boosted_rounds() - rounds : booster.num_boosted_rounds()]


def trained(rounds):
    """Return the trees sent, the trees kept and the log-loss after four exchanges."""
    strategy, model, sent = FedXgbBagging(), b"", 0
    for exchange in range(1, 5):
        strategy.current_bst, replies = model, []
        for node, data in enumerate(hospitals, start=1):
            trees = local(model, data, rounds)
            sent += trees.num_boosted_rounds()
            arrays = ArrayRecord({"0": Array(np.frombuffer(trees.save_raw("json"), dtype=np.uint8))})
            content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
            replies.append(Message(content, dst_node_id=node, message_type="train"))
        model = strategy.aggregate_train(exchange, replies)[0]["0"].numpy().tobytes()
    booster = xgboost.Booster()
    booster.load_model(bytearray(model))
    loss = float(booster.eval(test).split(":")[1])
    return sent, booster.num_boosted_rounds(), loss


one, five = trained(1), trained(5)
print(
    f"four exchanges of three hospitals; one tree each: {one[0]} trees sent, {one[1]} kept, log-loss {one[2]:.2f}; "
    f"five trees each: {five[0]} sent, {five[1]} kept, log-loss {five[2]:.2f}"
)
sys.exit(one[:2] != (12, 12) or five[:2] != (60, 16))
PYTHON
