#!/usr/bin/env bash
# flwr 1.42.0, numpy 2.4.6.
# Behaviour: DifferentialPrivacyServerSideAdaptiveClipping lowers its clipping norm where more updates were clipped than
# the target, and raises it where fewer were. Andrew et al. 2021 (algorithm 1), whose formula it has, count the updates
# that were not clipped. The norm runs away from the target: begun at its default of 0.1, with updates of about 1, all are
# clipped and it falls towards 0, so that nothing is learnt; begun at 10, none is clipped and it grows, and the noise with
# it. The noise of a round is also that of the next norm: where the norm falls, the updates that were clipped to the one
# before get about a tenth less noise than the multiplier says. Nothing warns.
# Expected: a norm that comes to the median of the updates' norms from either side, and noise for the norm that was used.
# Seen: "updates of norm 0.5 to 1.5, half to be clipped: norm 0.1 is 0.0007 after 50 rounds, norm 10 is 1438; noise of the
# first round 0.88 of what its norm needs"
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
from flwr.serverapp.strategy import DifferentialPrivacyServerSideAdaptiveClipping, FedAvg
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
NORMS, SIZE = np.linspace(0.5, 1.5, 100), 10000


class Grid:
    """Clients that are there."""

    def get_node_ids(self):
        return range(1, len(NORMS) + 1)


def record(values):
    return ArrayRecord({"weights": Array(values)})


def rounds(norm, number):
    """Return the clipping norm after some rounds, and the first round's noise as a part of what its norm needs."""
    np.random.seed(0)
    strategy = DifferentialPrivacyServerSideAdaptiveClipping(
        FedAvg(min_available_nodes=2),
        noise_multiplier=1.0,
        num_sampled_clients=len(NORMS),
        initial_clipping_norm=norm,
        target_clipped_quantile=0.5,
    )
    noise, needed = None, strategy.noise_multiplier * norm / len(NORMS)
    for at in range(number):
        strategy.configure_train(at + 1, record(np.zeros(SIZE)), ConfigRecord(), Grid())
        replies = []
        for node, size in enumerate(NORMS, 1):
            update = np.zeros(SIZE)
            update[0] = size
            content = RecordDict({"arrays": record(update), "metrics": MetricRecord({"num-examples": 1})})
            replies.append(Message(content, dst_node_id=node, message_type="train"))
        mean, _ = strategy.aggregate_train(at + 1, replies)
        noise = mean.to_numpy_ndarrays()[0][1:].std() if noise is None else noise
    return strategy.clipping_norm, noise / needed


(low, noise), (high, _) = rounds(0.1, 50), rounds(10.0, 50)
print(
    f"updates of norm 0.5 to 1.5, half to be clipped: norm 0.1 is {low:.4f} after 50 rounds, norm 10 is {high:.0f}; noise "
    f"of the first round {noise:.2f} of what its norm needs"
)
sys.exit(not (low < 0.01 and high > 100 and noise < 0.95))
PYTHON
