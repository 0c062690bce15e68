#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: the AUROC of a class that no image of a test set shows is 0, and the macro mean counts it: a classifier without
# an error has 0.67 at a hospital where one of three classes is missing. With `thresholds`, which keeps memory small, there
# is not even a warning, and average precision counts the class as 0 as well; without them it leaves it out. F1, accuracy and
# Jaccard leave it out. The generalised Dice score of a rightly empty mask is 0, the Dice score NaN.
# Expected: the mean over the classes that occur, as for F1, or NaN.
# Seen: "no error, one of three classes absent: macro AUROC 0.67 (1 warning), with thresholds 0.67 (0 warnings); average
# precision 1.00, with thresholds 0.67; F1 1.00; rightly empty mask: generalised Dice 0.00, Dice nan"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import math
import sys
import warnings

import torch
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision, MulticlassF1Score
from torchmetrics.functional.segmentation import dice_score, generalized_dice_score

labels = torch.tensor([0, 1] * 10)
scores = torch.nn.functional.one_hot(labels, 3) * 0.8 + 0.1


def of(metric):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        return metric(scores, labels).item(), len(warned)


auroc, told = of(MulticlassAUROC(3))
coarse, silent = of(MulticlassAUROC(3, thresholds=50))
precision, _ = of(MulticlassAveragePrecision(3))
coarser, _ = of(MulticlassAveragePrecision(3, thresholds=50))
f1, _ = of(MulticlassF1Score(3))
empty = torch.zeros(1, 2, 8, 8, dtype=torch.long)
empty[:, 0] = 1
settings = {"num_classes": 2, "include_background": False}
general = generalized_dice_score(empty, empty, **settings).item()
dice = dice_score(empty, empty, **settings, average="macro").item()
print(
    f"no error, one of three classes absent: macro AUROC {auroc:.2f} ({told} warning), with thresholds {coarse:.2f} "
    f"({silent} warnings); average precision {precision:.2f}, with thresholds {coarser:.2f}; F1 {f1:.2f}; rightly empty "
    f"mask: generalised Dice {general:.2f}, Dice {dice:.2f}"
)
wrong = all(abs(it - 2 / 3) < 1e-6 for it in (auroc, coarse, coarser)) and (told, silent) == (1, 0)
sys.exit(not (wrong and precision == f1 == 1 and general == 0 and math.isnan(dice)))
PYTHON
