#!/usr/bin/env bash
# torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6, scikit-learn 1.9.1.
# Behaviour: a batch of scores is put through a sigmoid if any of it lies outside 0 to 1, else it is not. Where logits
# come batch by batch, the batches that happen to lie within 0 and 1 are kept as they are: the ranks of the whole are
# mixed up. With one record a batch the AUROC is wrong; nothing warns.
# Expected: the AUROC of the scores, which no monotonic map changes.
# Seen: "AUROC of 400 logits: at once 0.750, scikit-learn 0.750, one by one 0.701"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 numpy==2.4.6 scikit-learn==1.9.1
"$place/env/bin/python" -W error - <<'PYTHON'
import sys

import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC

torch.manual_seed(0)
labels = torch.tensor([0, 1] * 200)
logits = torch.randn(400) + labels - 0.5


def measured(size):
    metric = BinaryAUROC()
    for scores, truth in zip(logits.split(size), labels.split(size)):
        metric.update(scores, truth)
    return float(metric.compute())


whole, single, true = measured(400), measured(1), roc_auc_score(labels, logits)
print(f"AUROC of 400 logits: at once {whole:.3f}, scikit-learn {true:.3f}, one by one {single:.3f}")
sys.exit(not (abs(whole - true) < 1e-6 and single < true - 0.02))
PYTHON
