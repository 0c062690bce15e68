"""Several images as one record: a network sees each of them, and what it says is added up, or read in order.

Ilse, Tomczak and Welling, *Attention-based deep multiple instance learning*, ICML 2018: what is known is said of a
patient or a series, and of no single image. Where the order of the images says something, they are read one after the
other (``_recurrent``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from wardround_client.networks._recurrent import STATE, Recurrent
from wardround_common.study.model import Pooling

FEATURES = 32
"""What the network says of each image; few, since noise for privacy grows with the number of weights."""
HIDDEN = 16
"""Of the attention: numbers by which it weighs an image."""
PADDING = -1.0
"""What stands where a record has fewer images than others: no image has a number below -0.5, augmented or not."""
_EDGE = -0.5


def there_of(bags: torch.Tensor) -> torch.Tensor:
    """Return which places hold an image, (records, images) bool, of bags (records, channels, images, rows, columns)."""
    there = bags.amax(dim=(1, 3, 4)) > _EDGE
    return there | ~there.any(dim=1, keepdim=True)  # noise that holds nothing at all


def present_of(bags: torch.Tensor, sequences: int) -> torch.Tensor:
    """Return 1 for each sequence of which a record has an image, (records, sequences), else 0."""
    holds = bags.amax(dim=(1, 3, 4)) > _EDGE  # (records, images)
    return holds.view(len(bags), sequences, -1).any(dim=2).to(bags.dtype)


def with_padding_of(bags: torch.Tensor, before: torch.Tensor, *, page: bool = False) -> torch.Tensor:
    """Return bags with padding where ``before`` has it, and with its ``page`` if they have one."""
    if page:
        images = with_padding_of(bags[:, :, :-1], before[:, :, :-1])
        return torch.cat([images, before[:, :, -1:]], dim=2)
    return torch.where(there_of(before)[:, None, :, None, None], bags, torch.full_like(bags, PADDING))


class Bag(nn.Module):
    """A network for records of several images, from one for images.

    Input: (records, channels, images, rows, columns) float32 from 0 to 1, :data:`PADDING` where there is no image.
    Output: logits (records, outputs). What is padded has a weight of exactly 0, or leaves the state as it was, so that
    no gradient comes from it. The head reads ``width`` numbers of the images together.

    With ``numbers``, what is known of a record besides its images, the last place of a record is no image but a page
    that has them in its first places, and the head reads them beside what the images add up to (late fusion).

    With ``sequences``, the places of a record are as many parts in a row, one for each sequence. What is said of an
    image has a vector of its sequence added to it, which is learnt, as a word has one of its segment in BERT (Devlin et
    al., NAACL 2019); the head reads of each sequence whether there is an image of it, and of a record without any image
    nothing else.
    """

    INSIDE = "encoder"

    def __init__(
        self, encoder: nn.Module, pooling: Pooling, outputs: int, numbers: int = 0, sequences: int = 0
    ) -> None:
        super().__init__()
        self.encoder, self.numbers, self.sequences = encoder, numbers, sequences
        self.pooling = _POOLINGS[pooling]()
        self.width = STATE if pooling == "recurrent" else FEATURES
        if sequences:
            self.sequence = nn.Linear(sequences, FEATURES, bias=False)
        self.head = nn.Linear(self.width + sequences + numbers, outputs)

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        """Return the logits (records, outputs)."""
        page = bags[:, :, -1].flatten(1)[:, : self.numbers]  # (records, numbers)
        bags = bags[:, :, :-1] if self.numbers else bags
        records, channels, images, *space = bags.shape
        there = there_of(bags)
        shown = torch.where(there[:, None, :, None, None], bags, torch.zeros_like(bags))
        each = shown.transpose(1, 2).reshape(records * images, channels, *space)  # a record's images in a row
        features = self.encoder(each).view(records, images, FEATURES)
        besides = [page]
        if self.sequences:
            share = images // self.sequences
            which = torch.eye(self.sequences, dtype=bags.dtype, device=bags.device).repeat_interleave(share, 0)
            features = features + self.sequence(which.expand(records, -1, -1))  # which: (images, sequences)
            besides = [present_of(bags, self.sequences), page]
        pooled = self.pooling(features, there)  # (records, STATE), or weights (records, images)
        if not isinstance(self.pooling, Recurrent):
            pooled = (pooled.unsqueeze(2) * features).sum(1)
        if self.sequences:
            pooled = pooled * besides[0].amax(1, keepdim=True)
        logits: torch.Tensor = self.head(torch.cat([pooled, *besides], dim=1))
        return logits


class Attention(nn.Module):
    """Gated attention: equation 9 of Ilse et al."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(FEATURES, HIDDEN)
        self.gate = nn.Linear(FEATURES, HIDDEN)
        self.weight = nn.Linear(HIDDEN, 1)

    def forward(self, features: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return the weights (records, images), which add up to 1, from features (records, images, FEATURES)."""
        scores = self.weight(torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features))).squeeze(2)
        weights: torch.Tensor = scores.masked_fill(~there, -torch.inf).softmax(1)
        return weights


class Mean(nn.Module):
    """The same weight for each image: the logits are the mean of those of single images."""

    def forward(self, features: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return the weights (records, images), which add up to 1."""
        weights = there.to(features.dtype)
        return weights / weights.sum(1, keepdim=True)


_POOLINGS: Mapping[Pooling, Callable[[], nn.Module]] = {
    "attention": Attention,
    "mean": Mean,
    "recurrent": lambda: Recurrent(FEATURES),
}


@contextmanager
def weighing(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collect the weights (records, images) of each pass of a network that weighs images; of any other one nothing."""
    seen: list[torch.Tensor] = []
    if not isinstance(network, Bag) or isinstance(network.pooling, Recurrent):
        yield seen
        return

    def after(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        seen.append(output.detach().cpu())

    handle = network.pooling.register_forward_hook(after)
    try:
        yield seen
    finally:
        handle.remove()
