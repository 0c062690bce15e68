#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: for predictions in channels, one a class, VoteEnsemble rounds the mean of each channel: a voxel whose class
# half of the networks or fewer agree on is in no channel, not even in the background. For the same predictions as class
# numbers it has the most common class. The output keeps the shape and is handed on as one-hot.
# Expected: "It will vote to select the most common data between items", in both forms, and one class for each voxel.
# Seen: "votes 0, 1, 1, 2: class none, by numbers 1; of 10000 voxels and four networks that are right on 80 %: 17% have
# no class, right are 82%, by numbers 93%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import torch
from monai.transforms import VoteEnsemble
from torch.nn.functional import one_hot


def voted(votes):
    """Return the class of each voxel, -1 for none, by channels and by numbers, of votes (networks, voxels)."""
    channels = VoteEnsemble()([one_hot(vote, 3).T.float() for vote in votes])  # (classes, voxels)
    numbers = VoteEnsemble(num_classes=3)([vote[None] for vote in votes])[0]
    return torch.where(channels.sum(0) == 1, channels.argmax(0), -1), numbers


(seen,), (right,) = (part.tolist() for part in voted(torch.tensor([[0], [1], [1], [2]])))
torch.manual_seed(0)
true = torch.randint(3, (10000,))
said = [torch.where(torch.rand(10000) < 0.7, true, torch.randint(3, (10000,))) for _ in range(4)]
channels, numbers = voted(torch.stack(said))
none = float((channels == -1).float().mean())
print(
    f"votes 0, 1, 1, 2: class {seen if seen >= 0 else 'none'}, by numbers {right}; of 10000 voxels and four networks that are "
    f"right on 80 %: {none:.0%} have no class, right are {float((channels == true).float().mean()):.0%}, by numbers "
    f"{float((numbers == true).float().mean()):.0%}"
)
sys.exit(not (seen == -1 and right == 1 and none > 0.1 and (numbers >= 0).all()))
PYTHON
