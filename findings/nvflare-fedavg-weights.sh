#!/usr/bin/env bash
# NVIDIA FLARE (nvflare) 2.9.0, numpy 2.4.6.
# Behaviour: FLARE's FedAvg weighs a hospital by the number of steps that its script states under
# NUM_STEPS_CURRENT_ROUND, and by 1 where the script states none. Steps are images divided by the batch size, so a
# hospital with a tenth of the images and batches of one weighs ten times as much as the large one. The docstring of its
# parameter aggregation_weights says "Defaults to None (equal weights)". Nothing is logged either way.
# Expected: weights by examples, as FedAvg is defined (McMahan et al. 2017), or a warning where they are not known.
# Seen: "1000 images in batches of 100 beside 100 images in batches of 1: the large hospital has 0.09 of the mean with
# steps stated, 0.50 without; by images it would be 0.91"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nvflare==2.9.0 numpy==2.4.6
cd "$place"
cat >client.py <<'PYTHON'
import sys

import numpy as np

import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

flare.init()
large = flare.get_site_name() == "site-1"
images, batch = (1000, 100) if large else (100, 1)
stated = {"NUM_STEPS_CURRENT_ROUND": images // batch} if sys.argv[-1] == "stated" else {}
while flare.is_running():
    flare.receive()
    flare.send(FLModel(params={"w": np.array([float(large)])}, params_type=ParamsType.FULL, meta=stated))
PYTHON
cat >job.py <<'PYTHON'
import sys

from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import FrameworkType, ScriptRunner

job = FedJob(name=sys.argv[1], min_clients=2)
job.to_server(FedAvg(num_clients=2, num_rounds=1, persistor_id="", model={"w": [0.5]}, save_filename="model"))
for site in ("site-1", "site-2"):
    job.to(ScriptRunner(script="client.py", script_args=sys.argv[1], framework=FrameworkType.RAW), site)
job.simulator_run(sys.argv[1])
PYTHON
for how in stated left-out; do
    timeout 300 "$place/env/bin/python" job.py "$how" >"$how.log" 2>&1 || { tail -n 20 "$how.log"; exit 1; }
done
"$place/env/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

from nvflare.app_common.decomposers import common_decomposers
from nvflare.fuel.utils import fobs

common_decomposers.register()
share = {}
for how in ("stated", "left-out"):
    (model,) = Path(how).glob("server/simulate_job/model")
    share[how] = float(fobs.loads(model.read_bytes()).params["w"][0])
logged = [line.lower() for how in share for line in Path(f"{how}.log").read_text().splitlines()]
warned = [line for line in logged if "warning" in line and "weight" in line]
print(
    "1000 images in batches of 100 beside 100 images in batches of 1: the large hospital has "
    f"{share['stated']:.2f} of the mean with steps stated, {share['left-out']:.2f} without; "
    f"by images it would be {1000 / 1100:.2f}"
)
sys.exit(not (abs(share["stated"] - 10 / 110) < 1e-6 and share["left-out"] == 0.5 and not warned))
PYTHON
