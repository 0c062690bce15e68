#!/usr/bin/env bash
# torch-uncertainty 0.13.0, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: CrossEntropyMaxSupLoss with class weights multiplies each patient's loss by the weights of all classes, and
# adds up: which class a patient has makes no difference, and weights of 1 and 9 make everybody's loss ten times as
# large. By reduction="none" each patient's loss has the cross-entropy of the whole batch in the place of his own. With
# max_sup=0 both are right.
# Expected: the weight of the patient's class, as in CrossEntropyLoss, which the class inherits from, and each patient's
# own loss.
# Seen: "weights 1 and 9: max_sup 0.0: the loss of healthy patients is 1.00 times, of ill ones 9.00 times; max_sup 0.01:
# the loss of healthy patients is 10.00 times, of ill ones 10.00 times; losses of two patients without a reduction 2.13,
# 0.69 by max_sup 0e+00 and 1.41, 1.41 by max_sup 1e-06"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check "torch-uncertainty[cpu]==0.13.0" torch==2.13.0 \
    torchvision==0.28.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch

if torch.version.cuda is None:  # torchvision asks for its operators when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torch_uncertainty.losses.classification import CrossEntropyMaxSupLoss

logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]]).repeat(50, 1)  # (patients, classes)
healthy, ill = torch.zeros(100, dtype=torch.long), torch.ones(100, dtype=torch.long)
weight = torch.tensor([1.0, 9.0])


def times(labels, max_sup):
    """Return how much larger the loss is with weights, as a sum over patients of one class."""
    plain, weighted = (
        float(CrossEntropyMaxSupLoss(max_sup=max_sup, weight=w, reduction="sum")(logits, labels))
        for w in (None, weight)
    )
    return weighted / plain


ratios = {max_sup: [times(labels, max_sup) for labels in (healthy, ill)] for max_sup in (0.0, 0.01)}
single = {
    max_sup: CrossEntropyMaxSupLoss(max_sup=max_sup, reduction="none")(logits, ill).flatten()[:2].tolist()
    for max_sup in (0.0, 1e-6)
}
print(
    "weights 1 and 9: "
    + "; ".join(
        f"max_sup {max_sup}: the loss of healthy patients is {of_healthy:.2f} times, of ill ones {of_ill:.2f} times"
        for max_sup, (of_healthy, of_ill) in ratios.items()
    )
    + "; losses of two patients without a reduction "
    + " and ".join("{:.2f}, {:.2f} by max_sup {:.0e}".format(*values, max_sup) for max_sup, values in single.items())
)
plain, suppressed = ratios.values()
right = abs(plain[0] - 1) < 1e-4 and abs(plain[1] - 9) < 1e-4
sys.exit(not (right and abs(suppressed[0] - suppressed[1]) < 1e-4 and abs(single[1e-6][0] - single[1e-6][1]) < 1e-3))
PYTHON
