#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: Flower's SecAgg+ clips each number to 8 after it was multiplied by examples over max_weight (1000), so that
# the limit of a weight, 8 by the reference (clipping_range), is 8 times 1000 over the hospital's examples: three
# hospitals with the same model, whose running variance is 100, have it averaged to 100 with 10 images each, and to 16
# with 500. With 2000 images the average of -9 and -9 is -4: weights are bounded by max_weight, which only the log's
# "potential overflow" hints at. That numbers were clipped is said nowhere. A secure mean of three equal models is another
# model.
# Expected: the models' mean, clipped to 8 if at all, or an error.
# Seen: "three equal models (0.5, -9, 100): mean with 10 images each 0.50, -9.00, 100.00; with 500 0.50, -9.00, 16.00; with
# 2000 0.50, -4.00, 4.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import copy
import logging
import sys

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, ConfigRecord, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common import recorddict_compat as compat
from flwr.server import LegacyContext, ServerConfig, SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
MODEL = [np.array([0.5, -9.0, 100.0])]


def context(node):
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


class Hospital(ClientProxy):
    """A client that answers each round with the same model."""

    get_properties = get_parameters = fit = evaluate = reconnect = None

    def __init__(self, node, examples):
        super().__init__(str(node))
        self.node_id, self.examples, self.context = node, examples, context(node)

    def train(self, message, _):
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(MODEL), self.examples, {})
        return Message(compat.fitres_to_recorddict(result, keep_input=True), reply_to=message)


class Link:
    """Hands the workflow's messages to the hospitals' SecAgg+ mods, and brings back what they answer."""

    def __init__(self, hospitals):
        self.hospitals = {hospital.node_id: hospital for hospital in hospitals}

    def send_and_receive(self, messages, timeout=None):
        asked = [(copy.deepcopy(it), self.hospitals[it.metadata.dst_node_id]) for it in messages]
        return [secaggplus_mod(message, hospital.context, hospital.train) for message, hospital in asked]


def secure_mean(examples):
    hospitals, manager = [Hospital(node, examples) for node in (1, 2, 3)], SimpleClientManager()
    for hospital in hospitals:
        manager.register(hospital)
    start = ndarrays_to_parameters([np.zeros(3)])
    run = LegacyContext(
        context=context(0),
        config=ServerConfig(num_rounds=1),
        strategy=FedAvg(min_fit_clients=3, min_available_clients=3, initial_parameters=start),
        client_manager=manager,
    )
    run.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    run.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(start, True)
    SecAggPlusWorkflow(num_shares=3, reconstruction_threshold=2)(Link(hospitals), run)
    return parameters_to_ndarrays(compat.arrayrecord_to_parameters(run.state.array_records[MAIN_PARAMS_RECORD], True))[0]


few, more, many = (secure_mean(examples) for examples in (10, 500, 2000))
words = [", ".join(f"{number:.2f}" for number in mean) for mean in (few, more, many)]
print(f"three equal models (0.5, -9, 100): mean with 10 images each {words[0]}; with 500 {words[1]}; with 2000 {words[2]}")
right = np.allclose(few, MODEL[0], atol=0.05)
sys.exit(not (right and np.allclose(more, [0.5, -9, 16], atol=0.01) and np.allclose(many, [0.5, -4, 4], atol=0.01)))
PYTHON
