#!/usr/bin/env bash
# torcheval 0.0.7, torch 2.13.0, numpy 2.4.6.
# Behaviour: for k above 1 the accuracy among the first k classes counts how many classes have a higher score than the
# right one, so that all classes of an equal score share the best rank. A network whose probabilities are exactly 1 and
# 0, as saturated ones are in half precision, has a top-2 accuracy of 1 where each of its answers is wrong; so has one
# that says the same for all classes, and one that says NaN. For k = 1 the same answers are counted with argmax.
# Expected: k classes an image among which the right one must be, as in torch.topk and scikit-learn's
# top_k_accuracy_score: a top-2 accuracy of at most 2 of 10 for an answer that tells nothing.
# Seen: "1000 images of 10 classes, top-1 and top-2: sure and always wrong 0.00 and 1.00 (among torch.topk's two 0.11),
# even scores 0.10 and 1.00, NaN 0.10 and 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torcheval==0.0.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torch.nn.functional import one_hot
from torcheval.metrics.functional import multiclass_accuracy

right = torch.arange(1000) % 10
wrong = one_hot((right + 1 + torch.arange(1000) // 10 % 9) % 10, 10).float()  # (images, classes)
answers = [wrong, torch.full((1000, 10), 0.1), torch.full((1000, 10), torch.nan)]
seen = [[float(multiclass_accuracy(scores, right, k=k)) for k in (1, 2)] for scores in answers]
within = float((wrong.topk(2).indices == right[:, None]).any(1).float().mean())
print(
    "1000 images of 10 classes, top-1 and top-2: sure and always wrong {:.2f} and {:.2f} (among torch.topk's two ".format(*seen[0])
    + f"{within:.2f}), even scores "
    "{:.2f} and {:.2f}, NaN {:.2f} and {:.2f}".format(*seen[1], *seen[2])
)
sys.exit(not (seen[0][0] == 0 and within < 0.3 and all(pair[1] == 1 for pair in seen)))
PYTHON
