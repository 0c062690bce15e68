#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: VarianceMetric and compute_variance, by which active learning chooses images for annotation, put repeats
# and channels into one row and take the variance of that. Of two channels that sum to 1 one is high and one is low
# where a network is sure: 20 repeats that agree that a voxel is a lesion have the greatest variance there is, and 20
# that all say 0.5 have none. An image on which repeats contradict each other has no more than one on which they agree.
# Zeros in the predictions handed in are written over with 0.0005.
# Expected: the variance over the repeats, "N is repeats, C is channels", and predictions that stay as they are.
# Seen: "20 repeats, probabilities of background and lesion: all sure of the lesion 0.250, all undecided 0.000, half
# sure of either 0.250; over the repeats alone 0.000, 0.000, 0.250; zeros in the predictions before 1280, afterwards 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import VarianceMetric

REPEATS, SIDE = 20, 8


def predictions(*lesions):
    """Return (repeats, channels, rows, columns), with these probabilities of a lesion in equal parts of the repeats."""
    lesion = torch.tensor(lesions).repeat(REPEATS // len(lesions)).reshape(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)
    return torch.cat([1 - lesion, lesion], 1)


metric = VarianceMetric(scalar_reduction="mean")
kinds = [predictions(1.0), predictions(0.5), predictions(1.0, 0.0)]
right = [float(kind.var(0, correction=0).mean()) for kind in kinds]
zeros = int((kinds[0] == 0).sum())
seen = [float(metric(kind)) for kind in kinds]
left = int((kinds[0] == 0).sum())
print(
    "20 repeats, probabilities of background and lesion: all sure of the lesion {:.3f}, all undecided {:.3f}, half sure of "
    "either {:.3f}; ".format(*seen)
    + "over the repeats alone {:.3f}, {:.3f}, {:.3f}; ".format(*right)
    + f"zeros in the predictions before {zeros}, afterwards {left}"
)
sys.exit(not (right == [0, 0, 0.25] and abs(seen[0] - seen[2]) < 1e-6 and seen[0] > 0.249 and seen[1] == 0 and zeros > left == 0))
PYTHON
