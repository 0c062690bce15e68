#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: GeneralizedDiceScore without the background is 0 for a healthy image in which nothing is outlined, rightly,
# and counts it: with nine healthy images and one whose lesion is outlined without an error the mean is 0.1. DiceScore
# and MeanIoU of the same package leave such an image out and have 1. With per_class a class that no image shows has 0,
# too. The documentation does not say what an empty class counts.
# Expected: 1, or NaN that is left out of the mean, as by DiceScore.
# Seen: "outlines without an error: GeneralizedDiceScore 0.10, DiceScore 1.00, MeanIoU 1.00; of the image with the
# lesion alone 1.00; of a class that no image shows 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

labels = torch.zeros(10, 32, 32, dtype=torch.long)
labels[0, 8:16, 8:16] = 1  # one lesion, nine healthy images


def score(metric, images=labels, **more):
    one = metric(num_classes=2, include_background=False, input_format="index", **more)
    one.update(images, images)
    return float(one.compute())


found = score(GeneralizedDiceScore)
others = score(DiceScore), score(MeanIoU)
lesion = score(GeneralizedDiceScore, labels[:1])
classes = GeneralizedDiceScore(num_classes=3, per_class=True, input_format="index")
classes.update(labels[:1], labels[:1])
absent = float(classes.compute()[..., 2])
print(
    f"outlines without an error: GeneralizedDiceScore {found:.2f}, DiceScore {others[0]:.2f}, MeanIoU {others[1]:.2f}; "
    f"of the image with the lesion alone {lesion:.2f}; of a class that no image shows {absent:.2f}"
)
sys.exit(not (abs(found - 0.1) < 1e-6 and others == (1, 1) and lesion == 1 and absent == 0))
PYTHON
