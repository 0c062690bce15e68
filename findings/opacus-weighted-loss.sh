#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: CrossEntropyLoss with class weights divides by the weights of the whole batch, so that one record of the
# rare class makes the gradients of all others smaller. GradSampleModule takes these as the gradients of single records:
# removing one record changes the clipped sum by 3.18 times the clipping norm to which the noise is scaled. Nothing
# warns.
# Expected: a change of at most the clipping norm, as without class weights, or a refusal.
# Seen: "clipping norm 1: removing a record moves the sum by 1.00 without class weights, by 3.18 with them"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from opacus import GradSampleModule

torch.manual_seed(0)
images, labels = torch.randn(8, 5), torch.tensor([0] * 7 + [1])
network = torch.nn.Linear(5, 2).state_dict()


def clipped_sum(count, weight):
    """Clip each of the first records' gradients to norm 1, as DPOptimizer does, and add them."""
    layer = torch.nn.Linear(5, 2)
    layer.load_state_dict(network)
    private = GradSampleModule(layer)
    torch.nn.CrossEntropyLoss(weight=weight)(private(images[:count]), labels[:count]).backward()
    rows = torch.cat([parameter.grad_sample.flatten(1) for parameter in private.parameters()], dim=1)
    return (rows / rows.norm(dim=1, keepdim=True).clamp(min=1)).sum(dim=0)


def moved(weight):
    return float((clipped_sum(8, weight) - clipped_sum(7, weight)).norm())


plain, weighted = moved(None), moved(torch.tensor([1.0, 50.0]))
print(f"clipping norm 1: removing a record moves the sum by {plain:.2f} without class weights, by {weighted:.2f} with them")
sys.exit(not (plain < 1.001 and weighted > 2))
PYTHON
