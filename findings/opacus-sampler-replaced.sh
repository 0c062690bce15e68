#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: make_private replaces a WeightedRandomSampler by a Poisson sampler over all records without a word: the
# rare class, balanced to one half, is back at its share of the data set. The rate is one over the number of batches, so
# that a sampler that draws each record 20 times an epoch gives steps of one record on average where batches of 20 were
# asked for.
# Expected: a refusal, or the sampler kept and accounted for.
# Seen: "rare class: 0.49 of a batch before, 0.11 after; records a step: 20 before, 1 after"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

torch.manual_seed(0)
labels = torch.tensor([1] * 10 + [0] * 90)
chances = torch.where(labels == 1, 9.0, 1.0)
loader = DataLoader(TensorDataset(torch.randn(100, 3), labels), 20, sampler=WeightedRandomSampler(chances, 2000))
layer = torch.nn.Linear(3, 2)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    _, optimizer, private = PrivacyEngine().make_private(
        module=layer,
        optimizer=torch.optim.SGD(layer.parameters(), 0.1),
        data_loader=loader,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )


def rare(batches):
    """Return the share of the rare class in a thousand steps or more."""
    drawn = torch.cat([batch[1] for _ in range(10) for batch in batches])
    return float(drawn.double().mean())


before, after = rare(loader), rare(private)
print(
    f"rare class: {before:.2f} of a batch before, {after:.2f} after; "
    f"records a step: {loader.batch_size} before, {optimizer.expected_batch_size} after"
)
silent = not any("sampler" in str(warning.message).lower() for warning in said)
sys.exit(not (silent and before > 0.4 and after < 0.15 and optimizer.expected_batch_size == 1))
PYTHON
