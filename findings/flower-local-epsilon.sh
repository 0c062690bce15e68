#!/usr/bin/env bash
# flwr 1.42.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: LocalDpMod takes any epsilon and computes its noise by the formula of the classical Gaussian mechanism,
# which holds up to epsilon 1. Above about 8 (delta 1e-5) the noise is too small for what was asked: the exact epsilon
# of the noise that was added (analytic Gaussian mechanism, Balle and Wang 2018) is higher, nearly twice for 50. Nothing
# warns.
# Expected: noise that gives the epsilon asked for, or a refusal above 1.
# Seen: "asked for epsilon 5, 20, 50 (delta 1e-05): noise 0.966, 0.242, 0.097, exact epsilon 4.6, 25.5, 96.8"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr==1.42.0 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON' 2>"$place/log" || { cat "$place/log"; exit 1; }
import math
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp.mod import LocalDpMod
from flwr.supercore.task_identity import TaskIdentity
from scipy.optimize import brentq
from scipy.stats import norm

TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
DELTA = 1e-5


def noise(epsilon):
    """Return the standard deviation that the mod adds to an update of norm 1e-6, for a sensitivity of 1."""
    weights = np.zeros(100000)
    message = Message(
        RecordDict({"arrays": ArrayRecord({"w": Array(weights)})}), dst_node_id=1, message_type="train"
    )
    update = weights.copy()
    update[0] = 1e-6

    def train(received, context):
        return Message(RecordDict({"arrays": ArrayRecord({"w": Array(update)})}), reply_to=received)

    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
    np.random.seed(0)
    sent = LocalDpMod(1.0, 1.0, epsilon, DELTA)(message, context, train)
    return float(sent.content["arrays"].to_numpy_ndarrays()[0].std())


def exact(deviation):
    """Return the epsilon at which the Gaussian mechanism of this deviation, for a sensitivity of 1, has the delta."""

    def excess(epsilon):
        lower = norm.logcdf(-0.5 / deviation - epsilon * deviation)
        return norm.cdf(0.5 / deviation - epsilon * deviation) - math.exp(epsilon + lower) - DELTA

    return brentq(excess, 0, 300)


asked = 5, 20, 50
added = [noise(float(epsilon)) for epsilon in asked]
spent = [exact(deviation) for deviation in added]
print(
    f"asked for epsilon {', '.join(map(str, asked))} (delta {DELTA}): "
    f"noise {', '.join(f'{deviation:.3f}' for deviation in added)}, "
    f"exact epsilon {', '.join(f'{epsilon:.1f}' for epsilon in spent)}"
)
sys.exit(not (spent[0] < 5 and 24 < spent[1] < 27 and 90 < spent[2] < 103))
PYTHON
