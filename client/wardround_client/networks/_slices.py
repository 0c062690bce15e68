"""A slice among others of its series: one network sees them all, and the place in the series is told beside them.

What is on a slice is mostly on the next one too, so that what is said of neighbours is evidence about it. What is said
of a whole series alike, as of its scanner and the patient's head, is no evidence about one slice more than about
another, and a part of it is taken off. Where in a series a slice lies says much before anything is seen of it. All of
this costs few trained numbers, which is what noise for privacy asks for: the network is one for all of them, and the
place has one number an output.
"""

from __future__ import annotations

import torch
from torch import nn

from wardround_common.study.data import NEXT

WEIGHTS = (0.25, 0.5, 0.25)
"""Of what is said of the image before, of the slice's own, and of the one after."""
OWN = NEXT.index(0)
"""The place of the slice's own image among those that it is shown with."""
ALIKE = 0.5
"""Part of what is said of the series on average that is taken off."""
SPREAD = 4.0
"""Between the numbers that are told of a slice in the middle and of one at an end: as long as a feature can be."""


class Slices(nn.Module):
    """A network for slices, from one for images.

    Input: (records, channels, images, rows, columns) float32: the image before, the slice's own, the one after, those
    of the whole series, and a page whose first number says how far from the middle of the series the slice is, from 0
    to 1 at the ends. Output: logits (records, outputs), the weighted mean of what the network says of the three, less a
    part of the mean over the series, with what the place adds, which is nothing at first.
    """

    INSIDE = "encoder"

    def __init__(self, encoder: nn.Module, outputs: int) -> None:
        super().__init__()
        self.encoder, self.outputs = encoder, outputs
        self.place = nn.Linear(1, outputs, bias=False)
        nn.init.zeros_(self.place.weight)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Return the logits (records, outputs)."""
        far = slices[:, 0, -1].flatten(1)[:, :1]  # (records, 1)
        images = slices[:, :, :-1]
        records, channels, count, *space = images.shape
        each = images.transpose(1, 2).reshape(records * count, channels, *space)  # a record's images in a row
        said = self.encoder(each).view(records, count, self.outputs)
        through = count - len(NEXT)
        parts = [*((one, 1) for one in WEIGHTS), (-ALIKE / through, through)]
        weights = torch.cat([said.new_full((length,), part) for part, length in parts])  # none of it comes from the CPU
        together: torch.Tensor = (said * weights[:, None]).sum(1) + self.place(SPREAD * (far - 0.5))
        return together


class OwnSlice(nn.Module):
    """What a network says of one slice as its own image changes, and the others that it is shown with do not.

    Input: (images, channels, rows, columns), each in the place of the slice's own. Output: logits (images, outputs).
    Where the own image stands for a neighbour too, at an end of the series, or for a part of the series, it stays.
    """

    def __init__(self, network: Slices, record: torch.Tensor) -> None:
        """``record``: that of the slice, (1, channels, images, rows, columns) as :class:`Slices` has it."""
        super().__init__()
        self.encoder = network.encoder
        with torch.no_grad():
            self.rest = network(record) - WEIGHTS[OWN] * self.encoder(record[:, :, OWN])  # (1, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (images, outputs)."""
        said: torch.Tensor = WEIGHTS[OWN] * self.encoder(images) + self.rest
        return said


def of_own_image(network: nn.Module, images: torch.Tensor) -> tuple[nn.Module, torch.Tensor]:
    """Return a network of one image and that image, of a slice's record; any other network and images as they are."""
    return (OwnSlice(network, images), images[:, :, OWN]) if isinstance(network, Slices) else (network, images)
