#!/usr/bin/env bash
# torch-uncertainty 0.13.0, torch 2.13.0, torchvision 0.28.0, numpy 2.4.6.
# Behaviour: VariationRatio takes its documented input, (patients, members of the ensemble, classes), for (members,
# patients, classes): it counts how many patients differ from the class that most patients have. Five networks that
# agree about every patient are as uncertain as can be where half of the patients are ill, and networks that are split
# about every patient are sure where all patients look alike. The example of its own documentation has 0.45, for 0.35.
# Expected: "The proportion of predicted class labels that are not the chosen (most frequent) class", over the members,
# for each patient.
# Seen: "five networks that agree about each of 20 patients, half of them ill: 0.50, by hand 0.00; split 3 to 2 about
# each of 20 patients: 0.00, by hand 0.40; the documented example: 0.45, by hand 0.35"
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
from torch_uncertainty.metrics.classification import VariationRatio


def ratio(probabilities, probabilistic=False):
    """Return the variation ratio of probabilities (patients, members, classes), and the same by hand."""
    metric = VariationRatio(probabilistic=probabilistic)
    metric.update(probabilities)
    chosen = probabilities.mean(1).argmax(1)
    if probabilistic:
        right = 1 - probabilities.mean(1).max(1).values
    else:
        right = (probabilities.argmax(2) != chosen[:, None]).float().mean(1)
    return float(metric.compute()), float(right.mean())


sure, other = torch.tensor([0.9, 0.1]), torch.tensor([0.1, 0.9])
agree = torch.stack([sure.expand(5, 2), other.expand(5, 2)] * 10)  # 20 patients, five members, two classes
split = torch.stack([sure, sure, sure, other, other]).expand(20, 5, 2)
documented = torch.tensor([[[0.7, 0.3], [0.6, 0.4], [0.8, 0.2]], [[0.4, 0.6], [0.5, 0.5], [0.3, 0.7]]])
seen = {
    "five networks that agree about each of 20 patients, half of them ill": ratio(agree),
    "split 3 to 2 about each of 20 patients": ratio(split),
    "the documented example": ratio(documented, probabilistic=True),
}
print("; ".join(f"{name}: {value:.2f}, by hand {right:.2f}" for name, (value, right) in seen.items()))
wanted = ((0.5, 0), (0, 0.4), (0.45, 0.35))
sys.exit(not all(abs(a - b) < 1e-5 for pair, want in zip(seen.values(), wanted) for a, b in zip(pair, want)))
PYTHON
