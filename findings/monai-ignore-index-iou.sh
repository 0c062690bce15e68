#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: "Voxels with this label are excluded from the score, which is useful for padding, unlabeled regions", says
# the documentation of ignore_index for DiceMetric, MeanIoU and ConfusionMatrixMetric alike. Where the index is that of
# a class, DiceMetric leaves its voxels out; MeanIoU and ConfusionMatrixMetric empty its channel and go on counting its
# voxels: whatever a network says in the unlabelled part is wrong.
# Expected: an IoU of 1.00 beside a Dice of 1.00, as D / (2 - D), and a precision of 1.00.
# Seen: "a network that is right wherever there is a label, and says lesion in the half without: Dice 1.00, IoU 0.20,
# precision 0.20; IoU by hand of the labelled half 1.00; by an index beyond the classes: Dice 1.00, IoU 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import ConfusionMatrixMetric, DiceMetric, MeanIoU
from torch.nn.functional import one_hot

UNLABELLED = 2
labels = torch.zeros(1, 16, 16, dtype=torch.long)  # background
labels[:, :8, :4] = 1  # a lesion in the upper half
labels[:, 8:] = UNLABELLED
said = labels.clone()
said[:, 8:] = 1
truth, prediction = (one_hot(values, 3).permute(0, 3, 1, 2).float() for values in (labels, said))


def scores(truth, prediction, index):
    """Return Dice, IoU and precision of the lesion."""
    dice, overlap = DiceMetric(ignore_index=index), MeanIoU(ignore_index=index)
    precision = ConfusionMatrixMetric(metric_name="precision", ignore_index=index)
    each = [metric(prediction, truth)[0, 1] for metric in (dice, overlap)]
    true, false = precision(prediction, truth)[0, 1, :2]
    return *(float(value) for value in each), float(true / (true + false))


dice, overlap, precision = scores(truth, prediction, UNLABELLED)
beyond = scores(truth[:, :2], prediction[:, :2], 255)  # the unlabelled half is 0 in both channels
known = labels != UNLABELLED
both, either = ((said == 1) & (labels == 1) & known).sum(), (((said == 1) | (labels == 1)) & known).sum()
right = float(both / either)
print(
    f"a network that is right wherever there is a label, and says lesion in the half without: Dice {dice:.2f}, IoU "
    f"{overlap:.2f}, precision {precision:.2f}; IoU by hand of the labelled half {right:.2f}; by an index beyond the "
    f"classes: Dice {beyond[0]:.2f}, IoU {beyond[1]:.2f}"
)
sys.exit(not (dice == beyond[0] == beyond[1] == right == 1 and overlap < 0.3 and precision < 0.3))
PYTHON
