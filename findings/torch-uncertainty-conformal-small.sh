#!/usr/bin/env bash
# torch-uncertainty 0.13.0, torch 2.13.0, torchvision 0.28.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: ConformalClsTHR and ConformalClsAPS take the plain quantile of the calibration patients' scores, without
# the correction for their number: of ten calibration patients sets at 90 % hold the right class for 82 % of new ones,
# and of 20 for 86 %. ConformalRegCQR of the same library has the correction.
# Expected: "Guaranteeing marginal coverage of 1 - alpha": the ceil((n + 1)(1 - alpha))-th smallest score (Vovk et al.
# 2005), which is here taken by hand.
# Seen: "coverage at 90 % by 10 calibration patients: THR 0.828, APS 0.825, by hand 0.909; coverage at 90 % by 20
# calibration patients: THR 0.865, APS 0.864, by hand 0.907"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check "torch-uncertainty[cpu]==0.13.0" torch==2.13.0 \
    torchvision==0.28.0 scikit-learn==1.9.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import torch

if torch.version.cuda is None:  # torchvision asks for its operators when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torch_uncertainty.post_processing import ConformalClsAPS, ConformalClsTHR

CLASSES, ALPHA, TIMES = 20, 0.1, 1000
torch.set_num_threads(1)
torch.manual_seed(0)


def patients(number):
    """Return logits (patients, classes) and classes drawn by their probabilities, so that the network is calibrated."""
    logits = torch.randn(number, CLASSES)
    return logits, torch.multinomial(logits.softmax(1), 1)[:, 0]


seen = {}
for number in (10, 20):
    held = {"THR": [], "APS": [], "by hand": []}
    for _ in range(TIMES):
        calibration, (logits, true) = patients(number), patients(500)
        methods = {
            "THR": ConformalClsTHR(ALPHA, torch.nn.Identity(), enable_ts=False),
            "APS": ConformalClsAPS(ALPHA, torch.nn.Identity(), enable_ts=False),
        }
        for name, method in methods.items():
            method.fit([calibration])
            held[name].append((method.conformal(logits)[torch.arange(500), true] > 0).float().mean())
        scores = 1 - calibration[0].softmax(1).gather(1, calibration[1][:, None])[:, 0]
        rank = math.ceil((number + 1) * (1 - ALPHA))
        limit = scores.sort().values[rank - 1] if rank <= number else torch.tensor(1.0)
        held["by hand"].append((1 - logits.softmax(1)[torch.arange(500), true] <= limit).float().mean())
    seen[number] = {name: float(torch.stack(values).mean()) for name, values in held.items()}
print(
    "; ".join(
        f"coverage at 90 % by {number} calibration patients: "
        + ", ".join(f"{name} {value:.3f}" for name, value in coverage.items())
        for number, coverage in seen.items()
    )
)
low = all(coverage[name] < 0.88 for coverage in seen.values() for name in ("THR", "APS"))
sys.exit(not (low and all(coverage["by hand"] > 0.895 for coverage in seen.values())))
PYTHON
