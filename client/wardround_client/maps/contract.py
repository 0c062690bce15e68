"""What a method of explanation is: from a question to a map of the image that the network was asked about.

A map is in the network's form: a number for each place of the input. What it is of is the log-odds of one class against
all others, and not the network's output for that class: outputs mean something by their differences alone, and a
probability near 1 no longer moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from wardround_client.tasks.windows import outline

TOGETHER = 64
"""Changed copies of an image that the network is asked about in one pass."""
BLOCKS = 8
"""Along each side of an image, the parts that are taken away as a whole by methods that ask about many."""


@dataclass(frozen=True, eq=False)
class Question:
    """A network, and what of its answer is explained."""

    network: nn.Module = field(repr=False)
    of: int
    """The number of the class, from 0; without meaning where each place of an image has an answer of its own."""
    window: tuple[int, ...] | None = None
    """As in ``Asked``."""
    apart: bool = False
    """Whether each output stands by itself, as in ``Task``."""

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs, (images, outputs) or (images, outputs, *space)."""
        found: torch.Tensor = (
            self.network(images) if self.window is None else outline(self.network, images, self.window)
        )
        return found

    def score(self, images: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the class against all others, (images,); what stands by itself as it is."""
        logits = self.logits(images)
        if self.apart:
            return logits[:, self.of]
        others = torch.cat([logits[:, : self.of], logits[:, self.of + 1 :]], dim=1)
        return logits[:, self.of] - others.logsumexp(1)


@dataclass(frozen=True)
class Method:
    """A method of explanation."""

    explain: Callable[[Question, torch.Tensor], torch.Tensor]
    """From a question and the images of a case, (records, channels, *space) from 0 to 1, to a map (records, *space)
    float32 on the CPU: what is larger speaks more for the class, what is below 0 against it.

    Raises:
        StudyError: the method cannot be applied to this network.
    """
    reading: str
    """How to read its map, in a sentence."""
    dense: bool = False
    """Whether it is for tasks that say something of each place of an image."""
