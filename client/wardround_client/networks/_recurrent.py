"""A gated recurrent unit over the images of a record, in their order: what came before changes what is made of each.

Cho et al., *Learning phrase representations using RNN encoder-decoder for statistical machine translation*, EMNLP 2014,
with the gates of ``torch.nn.GRU``, whose numbers it gives. It is written out as two linear layers, since the gradient
of each record is known for those: ``torch.nn.GRU`` is one call in which no layer can be watched.
"""

from __future__ import annotations

import torch
from torch import nn

STATE = 16
"""Numbers that are kept from image to image; few, since noise for privacy grows with the number of weights."""


class Recurrent(nn.Module):
    """Reads what is said of each image, one after the other, and returns what is kept after the last one.

    ``given`` and ``kept`` are ``weight_ih_l0`` and ``weight_hh_l0`` of ``torch.nn.GRU(features, STATE)``, and its
    biases, with the gates in the same order: reset, update, new.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.given = nn.Linear(features, 3 * STATE)
        self.kept = nn.Linear(STATE, 3 * STATE)

    def forward(self, features: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return the last state (records, STATE) of features (records, images, features).

        ``there``: (records, images) which of them are images; at the others the state stays what it was.
        """
        state = features.new_zeros(len(features), STATE)
        for given, image in zip(self.given(features).unbind(1), there.unsqueeze(2).unbind(1), strict=True):
            reset, update, new = given.chunk(3, dim=1)  # each (records, STATE)
            kept_reset, kept_update, kept_new = self.kept(state).chunk(3, dim=1)
            gate = torch.sigmoid(update + kept_update)
            found = torch.tanh(new + torch.sigmoid(reset + kept_reset) * kept_new)
            state = torch.where(image, gate * state + (1 - gate) * found, state)
        return state
