#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: make_private takes one over the number of batches for the sampling rate, and cuts records times rate to a
# whole number for the batch size by which gradients are divided. Batches of 64 of 100 records have the rate 0.5, or 1
# (all records in each step) where the loader drops the last batch; the log says that drop_last is ignored. Batches of 2
# of 35 records are divided by 1: each step is nearly twice as long.
# Expected: rates of 0.64, and a division by 2.
# Seen: "64 of 100: rate 0.5, with drop_last 1.0, epsilon of 10 steps 8.5 and 15.5; 2 of 35: 1.94 records a step,
# divided by 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from opacus import PrivacyEngine
from opacus.accountants import RDPAccountant
from torch.utils.data import DataLoader, TensorDataset


def made(records, size, drop_last=False):
    """Return the sampling rate, and the batch size by which the optimizer divides."""
    layer = torch.nn.Linear(3, 2)
    _, optimizer, private = PrivacyEngine().make_private(
        module=layer,
        optimizer=torch.optim.SGD(layer.parameters(), 0.1),
        data_loader=DataLoader(TensorDataset(torch.randn(records, 3)), size, drop_last=drop_last),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    return private.sample_rate, optimizer.expected_batch_size


def epsilon(rate):
    accountant = RDPAccountant()
    accountant.history = [(1.0, rate, 10)]
    return accountant.get_epsilon(delta=1e-3)


kept, dropped, (small, divided) = made(100, 64)[0], made(100, 64, drop_last=True)[0], made(35, 2)
print(
    f"64 of 100: rate {kept}, with drop_last {dropped}, epsilon of 10 steps {epsilon(kept):.1f} and {epsilon(dropped):.1f}; "
    f"2 of 35: {35 * small:.2f} records a step, divided by {divided}"
)
sys.exit(not (kept == 0.5 and dropped == 1.0 and 35 * small > 1.9 and divided == 1))
PYTHON
