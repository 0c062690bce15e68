#!/usr/bin/env bash
# flwr 1.42.0, xgboost 3.2.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: FedXgbBagging adds the trees of all hospitals up, each of which corrects the whole error at the learning
# rate: ten hospitals at XGBoost's own rate of 0.3 go three times as far as they should, and each round drives the risks
# further from the truth. Two hospitals do not show it. Nothing in the strategy divides by the number of hospitals, and
# its reference does not speak of it.
# Expected: Trees of one round share what is to be corrected: bagging takes their mean (Breiman 1996).
# Seen: "log-loss after four rounds at a rate of 0.3: two hospitals 0.60, seven 1.98, ten 7.97; ten at 0.03 0.60; of a
# coin 0.69"
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


def patients(count, random):
    values = random.normal(size=(count, 3))
    return xgboost.DMatrix(values, label=random.random(count) < 1 / (1 + np.exp(-values[:, 0])))


def loss(count, rate, rounds=4):
    """Return the log-loss of a model that this many hospitals have trained."""
    random = np.random.default_rng(0)
    test = patients(5000, random)
    settings = {"objective": "binary:logistic", "eta": rate, "max_depth": 3, "nthread": 1}
    hospitals, strategy, model = [patients(1000, random) for _ in range(count)], FedXgbBagging(), b""
    for exchange in range(1, rounds + 1):
        strategy.current_bst, replies = model, []
        for node, data in enumerate(hospitals, start=1):
            booster = xgboost.Booster(settings, [data], model_file=bytearray(model) or None)
            booster.update(data, booster.num_boosted_rounds())
            tree = booster[booster.num_boosted_rounds() - 1 : booster.num_boosted_rounds()]
            arrays = ArrayRecord({"0": Array(np.frombuffer(tree.save_raw("json"), dtype=np.uint8))})
            content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
            replies.append(Message(content, dst_node_id=node, message_type="train"))
        model = strategy.aggregate_train(exchange, replies)[0]["0"].numpy().tobytes()
    return float(xgboost.Booster(model_file=bytearray(model)).eval(test).split(":")[1])


two, seven, ten, slow = loss(2, 0.3), loss(7, 0.3), loss(10, 0.3), loss(10, 0.03)
print(
    f"log-loss after four rounds at a rate of 0.3: two hospitals {two:.2f}, seven {seven:.2f}, ten {ten:.2f}; "
    f"ten at 0.03 {slow:.2f}; of a coin 0.69"
)
sys.exit(not (two < 0.62 and slow < 0.66 and not ten < 0.75))
PYTHON
