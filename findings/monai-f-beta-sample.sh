#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: FBetaScore.aggregate takes compute_sample, as ConfusionMatrixMetric does, and does not read it: true and
# false positives of all patients and of all classes, the background too, are averaged first, so that a network that
# never finds a lesion has an F1 of 0.98. There is no way to have the mean over patients.
# Expected: With compute_sample=True the score of each patient and class first, as in ConfusionMatrixMetric("f1 score").
# Seen: "F1 of a network that finds no lesion: FBetaScore 0.98, with compute_sample 0.98; ConfusionMatrixMetric 0.98 and
# 0.49"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import ConfusionMatrixMetric, FBetaScore

found, truth = (torch.zeros(4, 2, 10, 10) for _ in range(2))  # (patients, classes, rows, columns)
found[:, 0] = truth[:, 0] = 1
truth[:, 0, 0, :2], truth[:, 1, 0, :2] = 0, 1  # a lesion of two pixels, which is not found
score = FBetaScore()
score(found, truth)
whole, each = (float(score.aggregate(compute_sample=sample)[0]) for sample in (False, True))
reference = []
for sample in (False, True):
    metric = ConfusionMatrixMetric(metric_name="f1 score", compute_sample=sample, reduction="mean")
    metric(found, truth)
    reference.append(float(metric.aggregate()[0]))
print(
    f"F1 of a network that finds no lesion: FBetaScore {whole:.2f}, with compute_sample {each:.2f}; "
    f"ConfusionMatrixMetric {reference[0]:.2f} and {reference[1]:.2f}"
)
sys.exit(not (whole == each and whole > 0.95 and reference[1] < 0.55))
PYTHON
