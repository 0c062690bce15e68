#!/usr/bin/env bash
# torchcp 1.2.1, torch 2.13.0, scikit-learn 1.9.1, tqdm 4.70.1, numpy 2.4.6.
# Behaviour: for patients unlike those of the calibration WeightedPredictor weighs calibration scores by importance. It
# sorts the scores, and it sorts the weights, each by itself: the largest weight goes to the largest score, whosever it
# is. The threshold is the same whichever patients the weights belong to.
# Expected: each score keeps its own weight (Tibshirani et al., NeurIPS 2019, whom the class names).
# Seen: "nine of ten new patients are easy, where half are in the calibration: threshold 0.93, by the weights of the
# patients 0.67, with the weights of easy and hard swapped 0.93; sets of 2.4 classes, covering 99% where 90% is asked
# for"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 scikit-learn==1.9.1 tqdm==4.70.1 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps torchcp==1.2.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
from types import ModuleType

import torch

for name in ("torchcp", "torchcp.classification"):  # its predictors alone: the rest needs torchvision and transformers
    package = ModuleType(name)
    package.__path__ = importlib.util.find_spec(name).submodule_search_locations
    sys.modules[name] = package
from torch.utils.data import DataLoader, TensorDataset
from torchcp.classification.predictor import WeightedPredictor
from torchcp.classification.score import LAC

torch.manual_seed(0)


def patients(number, share_of_easy):
    """Return inputs (patients, 6), five logits and whether a patient is easy, and the classes."""
    easy = torch.rand(number) < share_of_easy
    labels = torch.randint(0, 5, (number,))
    logits = torch.randn(number, 5)
    logits[torch.arange(number), labels] += torch.where(easy, 3.0, 0.5)
    return torch.cat([logits, easy[:, None].float()], 1), labels


class Columns(torch.nn.Module):
    """Returns some columns of the input, or the odds of the domains for easy and hard ones."""

    def __init__(self, first, last, easy=None):
        super().__init__()
        self.first, self.last, self.easy = first, last, easy
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        columns = inputs[:, self.first : self.last]
        if self.easy is None:
            return columns
        target = torch.where(columns[:, 0] > 0, self.easy, 1 - self.easy)
        return torch.stack([torch.full_like(target, 0.5), target], 1)


calibration, new = patients(4000, 0.5), patients(4000, 0.9)


def weighted(easy):
    """Return the threshold for new patients of whom this share is easy, the coverage and the size of their sets."""
    predictor = WeightedPredictor(
        LAC(), Columns(0, 5), image_encoder=Columns(5, 6), domain_classifier=Columns(0, 1, easy)
    )
    predictor.calibrate(DataLoader(TensorDataset(*calibration), batch_size=4000), alpha=0.1)
    seen = predictor.evaluate(DataLoader(TensorDataset(*new), batch_size=4000))
    weights = predictor.w_sorted / predictor.w_sorted.sum()
    threshold = predictor.scores_sorted[torch.argmax((weights.cumsum(0) >= 0.9).int())]
    return float(threshold), seen["coverage_rate"], seen["average_size"]


threshold, coverage, size = weighted(0.9)
swapped, *_ = weighted(0.1)
inputs, labels = calibration
scores = 1 - inputs[:, :5].softmax(1)[torch.arange(4000), labels]
order = scores.argsort()
weights = torch.where(inputs[:, 5] > 0, 0.9, 0.1)[order]
right = float(scores[order][torch.argmax((weights.cumsum(0) / weights.sum() >= 0.9).int())])
print(
    f"nine of ten new patients are easy, where half are in the calibration: threshold {threshold:.2f}, by the weights "
    f"of the patients {right:.2f}, with the weights of easy and hard swapped {swapped:.2f}; sets of {size:.1f} "
    f"classes, covering {coverage:.0%} where 90% is asked for"
)
sys.exit(not (threshold - right > 0.1 and abs(threshold - swapped) < 0.02 and coverage > 0.95))
PYTHON
