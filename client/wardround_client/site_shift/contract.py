"""A hospital's half of a measure against site shift: what of a network stays, as a value ``STAYS`` in its own file.

The other half, its words, is in ``wardround_common.site_shift``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from wardround_common.study.file import Study


@dataclass(frozen=True)
class Stays:
    """What of a network stays at a hospital."""

    name: str
    """The measure's."""
    tensors: Callable[[nn.Module, Study], frozenset[str]]
    """The names of the network's tensors that stay, as ``state_dict`` has them; of a model beside the shared one: all.

    Raises:
        StudyError: the network has no such part.
    """
