#!/usr/bin/env bash
# segmentation-models-pytorch 0.6.0, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: SoftCrossEntropyLoss, "drop-in replacement" for torch's CrossEntropyLoss with its ignore_index of -100,
# sets the loss of ignored pixels to 0 and divides by all of them. Where a quarter of the pixels are labelled the loss
# and its gradient are a quarter of torch's, and an image with few labels weighs little beside one that is labelled
# throughout. Its factor of smoothing is not the one that its reference gives either: 0.1 makes 0.933, 0.033, 0.033 of
# 1, 0, 0, not 0.9, 0.05, 0.05. SoftBCEWithLogitsLoss divides by ignored pixels, too; FocalLoss does not. The reference
# says of ignored pixels that they add nothing to the gradient.
# Expected: the loss of CrossEntropyLoss, the mean of the pixels that count.
# Seen: "cross-entropy of all pixels 1.383 (torch 1.383), with three quarters ignored 0.369 (1.475); binary with three
# quarters ignored 0.179 (0.716); smoothed by 0.1 0.362, as the reference says 0.431"
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
from segmentation_models_pytorch.losses import FocalLoss, SoftBCEWithLogitsLoss, SoftCrossEntropyLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

torch.manual_seed(0)
logits, labels = torch.randn(1, 3, 8, 8), torch.randint(0, 3, (1, 8, 8))
some = labels.clone()
some[:, 2:] = -100  # a quarter of the rows is labelled
soft = [float(SoftCrossEntropyLoss(smooth_factor=0.0)(logits, given)) for given in (labels, some)]
plain = [float(cross_entropy(logits, given)) for given in (labels, some)]
binary, marked = logits[:, 0], torch.where(some >= 0, (some > 0).float(), torch.tensor(-100.0))
soft_binary = float(SoftBCEWithLogitsLoss()(binary, marked))
plain_binary = float(binary_cross_entropy_with_logits(binary[some >= 0], marked[some >= 0]))
focus = FocalLoss("multiclass", ignore_index=-100)
focal = [float(focus(logits, some)), float(focus(logits[:, :, :2], some[:, :2]))]
answer = torch.tensor([0.8, 0.1, 0.1]).log()
smooth = float(SoftCrossEntropyLoss(smooth_factor=0.1)(answer.reshape(1, 3, 1, 1), torch.zeros(1, 1, 1).long()))
said = -float(answer @ torch.tensor([0.9, 0.05, 0.05]))
print(
    f"cross-entropy of all pixels {soft[0]:.3f} (torch {plain[0]:.3f}), with three quarters ignored {soft[1]:.3f} "
    f"({plain[1]:.3f}); binary with three quarters ignored {soft_binary:.3f} ({plain_binary:.3f}); smoothed by 0.1 "
    f"{smooth:.3f}, as the reference says {said:.3f}"
)
same = abs(soft[0] - plain[0]) < 1e-5 and abs(focal[0] - focal[1]) < 1e-5
quarter = abs(4 * soft[1] - plain[1]) < 1e-4 and abs(4 * soft_binary - plain_binary) < 1e-4
sys.exit(not (same and quarter and said - smooth > 0.05))
PYTHON
