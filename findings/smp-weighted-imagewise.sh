#!/usr/bin/env bash
# segmentation-models-pytorch 0.6.0, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: for the reduction "weighted-imagewise" the weights of the classes are made to sum to 1, and the weighted
# scores are then averaged over the classes once more: every metric is divided by the number of classes. A segmentation
# without an error has an IoU of 0.33 with three classes and of 0.1 with ten; "weighted", the sum over all images, is
# right. The reference calls it the weighted average over all scores.
# Expected: 1 for a segmentation without an error.
# Seen: "IoU without an error, macro-imagewise, weighted, weighted-imagewise: 3 classes 1.00, 1.00, 0.33; 10 classes
# 1.00, 1.00, 0.10; Dice of 3 classes 1.00, 1.00, 0.33"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check segmentation-models-pytorch==0.6.0 torch==2.13.0 \
    torchvision==0.28.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch

if torch.version.cuda is None:  # torchvision, whose operators are not used, asks for them when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from segmentation_models_pytorch.metrics import f1_score, get_stats, iou_score


def scores(metric, classes):
    """Return the score of two images without an error, in which every class is present."""
    truth = torch.arange(classes).repeat(2, 4)
    counts = get_stats(truth, truth, mode="multiclass", num_classes=classes)
    weights = [1.0 + number for number in range(classes)]
    return [
        float(metric(*counts, reduction=reduction, class_weights=given))
        for reduction, given in (("macro-imagewise", None), ("weighted", weights), ("weighted-imagewise", weights))
    ]


three, ten, dice = scores(iou_score, 3), scores(iou_score, 10), scores(f1_score, 3)
print(
    f"IoU without an error, macro-imagewise, weighted, weighted-imagewise: 3 classes "
    f"{', '.join(f'{it:.2f}' for it in three)}; 10 classes {', '.join(f'{it:.2f}' for it in ten)}; "
    f"Dice of 3 classes {', '.join(f'{it:.2f}' for it in dice)}"
)
right = [(it[0] + it[1]) / 2 for it in (three, ten, dice)]
sys.exit(not (min(right) > 0.999 and three[2] < 0.34 and ten[2] < 0.11 and dice[2] < 0.34))
PYTHON
