#!/usr/bin/env bash
# nvflare 2.9.0, torch 2.13.0, bitsandbytes 0.50.2, numpy 2.4.6.
# Behaviour: ModelQuantizer with "adaquant" sets the number of levels by the range of an array in its own unit: updates
# of a layer between -0.0005 and 0.0005, as late rounds have, come back as four values, and where the range is below
# 0.0002 as NaN, since no level is left and it is divided by their number. A range of 1 has 128 levels. Nothing is said.
# Expected: Errors that are small beside the update, or a layer that is left as it is, as where nothing is gained.
# Seen: "updates of 4096 weights by their range: 1: 128 values, off by 0.01; 0.01: 8 values, off by 0.14; 0.001: 4
# values, off by 0.33; 0.0001: 1 values, off by nan"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check nvflare==2.9.0 bitsandbytes==0.50.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import logging
import sys

import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.pt.quantization.dequantizer import ModelDequantizer
from nvflare.app_opt.pt.quantization.quantizer import ModelQuantizer

logging.disable(logging.CRITICAL)
np.seterr(all="ignore")
update = np.random.default_rng(0).uniform(-0.5, 0.5, (64, 64)).astype(np.float32)


def received(scale):
    """Return how many values an update has when it arrives, and the share of its size by which it is off."""
    sent = DXO(DataKind.WEIGHT_DIFF, {"layer.weight": update * np.float32(scale)})
    small = ModelQuantizer("adaquant").process_dxo(sent, Shareable(), FLContext())
    back = np.asarray(ModelDequantizer().process_dxo(small, Shareable(), FLContext()).data["layer.weight"], float)
    return len(np.unique(back)), float(np.linalg.norm(back - update * scale) / np.linalg.norm(update * scale))


found = {scale: received(scale) for scale in (1.0, 1e-2, 1e-3, 1e-4)}
print(
    "updates of 4096 weights by their range: "
    + "; ".join(f"{scale:g}: {count} values, off by {error:.2f}" for scale, (count, error) in found.items())
)
sys.exit(not (found[1.0][1] < 0.02 and found[1e-3][0] == 4 and np.isnan(found[1e-4][1])))
PYTHON
