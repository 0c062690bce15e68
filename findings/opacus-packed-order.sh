#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: DPGRU, DPLSTM and DPRNN put the outputs and states of a PackedSequence back into the order of the batch, as
# torch's layers do, and leave the gradients of single records in the order of length. With pack_padded_sequence(...,
# enforce_sorted=False), which is for batches in any order, a record's norm is then that of its other layers' gradients
# with another record's recurrent ones: removing one record moves the clipped sum by more than the clipping norm to which
# the noise is scaled. Nothing warns. Sorted by length before, the same batch has the right ones.
# Expected: the gradients that backward() gives for each record by itself, in the order of the batch.
# Seen: "relative error: sorted 0.00, unsorted 2.31; clipping norm 1: removing a record moves the sum by 1.00 and 1.49"
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
from opacus.layers import DPGRU
from torch.nn.utils.rnn import pack_padded_sequence


class Reader(torch.nn.Module):
    """What is left of a sequence after its last step, and a layer that reads it."""

    def __init__(self):
        super().__init__()
        self.unit, self.head = DPGRU(3, 4, batch_first=True), torch.nn.Linear(4, 2)

    def forward(self, sequences, lengths):
        packed = pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.unit(packed)[1][0])


torch.manual_seed(0)
state = Reader().state_dict()
sequences, lengths, labels = 3 * torch.randn(6, 8, 3), torch.tensor([1, 2, 8, 3, 5, 4]), torch.tensor([0, 1] * 3)


def rows(places):
    """Return the gradient of each record at these places, all weights in a row."""
    network = Reader()
    network.load_state_dict(state)
    private = GradSampleModule(network, loss_reduction="sum")
    loss = torch.nn.CrossEntropyLoss(reduction="sum")
    loss(private(sequences[places], lengths[places]), labels[places]).backward()
    return torch.cat([weight.grad_sample.flatten(1) for weight in private.parameters()], dim=1)


def error(places):
    alone = torch.cat([rows([place]) for place in places])  # of one record there is one order
    return float(((rows(places) - alone).norm(dim=1) / alone.norm(dim=1)).max())


def moved(places):
    """Return by how much the sum of the clipped gradients moves at most when one record is removed."""
    clipped = lambda some: (one := rows(some)).div(one.norm(dim=1, keepdim=True).clamp(min=1)).sum(dim=0)
    return max(float((clipped(places) - clipped([one for one in places if one != left])).norm()) for left in places)


unsorted, longest_first = list(range(6)), sorted(range(6), key=lambda place: -lengths[place])
errors, moves = [[of(places) for places in (longest_first, unsorted)] for of in (error, moved)]
print(
    f"relative error: sorted {errors[0]:.2f}, unsorted {errors[1]:.2f}; "
    f"clipping norm 1: removing a record moves the sum by {moves[0]:.2f} and {moves[1]:.2f}"
)
sys.exit(not (errors[0] < 1e-4 and errors[1] > 0.1 and moves[0] < 1.001 and moves[1] > 1.1))
PYTHON
