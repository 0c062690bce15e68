#!/usr/bin/env bash
# nvflare 2.9.0, numpy 2.4.6.
# Behaviour: the filter PercentilePrivacy limits a weight's change per local step and multiplies again by the steps:
# with gamma 0.01 a site that trained 300 steps sends changes of up to 3. With its default data kinds it treats whole
# weights the same way: a site that sends weights in place of differences has them cut to gamma times the steps.
# Expected: nothing above gamma ("upper limit to truncate abs values of weight diff"), and whole weights left or
# refused.
# Seen: "gamma 0.01: a change of 5 is sent as 0.01 after 1 step, as 3 after 300; a weight of 5 as 0.01"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nvflare==2.9.0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy


def largest(kind, steps):
    made = DXO(kind, {"w": np.linspace(-5, 5, 1001)}, {MetaKey.NUM_STEPS_CURRENT_ROUND: steps})
    sent = PercentilePrivacy(percentile=10, gamma=0.01).process_dxo(made, Shareable(), FLContext())
    return round(float(np.abs(sent.data["w"]).max()), 6)


one, many, weight = (
    largest(DataKind.WEIGHT_DIFF, 1), largest(DataKind.WEIGHT_DIFF, 300), largest(DataKind.WEIGHTS, 1)
)
print(f"gamma 0.01: a change of 5 is sent as {one:g} after 1 step, as {many:g} after 300; a weight of 5 as {weight:g}")
sys.exit((one, many, weight) != (0.01, 3, 0.01))
PYTHON
