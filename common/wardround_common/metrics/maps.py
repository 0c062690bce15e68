"""How much of a model's explanations lies in lesions that somebody outlined: sums that hospitals can add."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.sums import COUNT_LIMIT, UNIT


@dataclass(frozen=True, slots=True)
class InLesion:
    """What one map says of one image in which a lesion is outlined; it stays at the hospital."""

    hit: bool
    """Whether the place that speaks most for the class lies in the lesion (Zhang et al., ECCV 2016: pointing game)."""
    mass: float
    """The part of all that speaks for the class which lies in the lesion; 0 where nothing does."""
    area: float
    """The part that the lesion covers of what the network sees of the image, which a step may have cut: the mass of a
    map that is the same all over, or random."""
    untrained: float
    """The mass of the same method's map of a network with random weights."""


@dataclass(frozen=True, slots=True)
class MapSums:
    """Sums over images with an outlined lesion; integers, so that adding is exact.

    ``images`` and ``hits``: counts. ``mass``, ``area`` and ``untrained``: sums of parts in units of 2^-20. Over few
    images they say much of each: over one hospital they are as confidential as its other sums.
    """

    images: int = 0
    hits: int = 0
    mass: int = 0
    area: int = 0
    untrained: int = 0

    @classmethod
    def of(cls, one: InLesion) -> MapSums:
        """Return the sums over one image.

        Raises:
            ModelError: a part is not from 0 to 1.
        """
        parts = (one.mass, one.area, one.untrained)
        if not all(0 <= part <= 1 + 1e-6 for part in parts):  # NaN fails too
            raise ModelError("what lies in a lesion is a part of the whole, from 0 to 1")
        return cls(1, int(one.hit), *(round(min(part, 1.0) / UNIT) for part in parts))

    def __add__(self, other: MapSums) -> MapSums:
        """Add the sums over two groups of images."""
        return MapSums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def records(self) -> int:
        """How many images were summed."""
        return self.images

    def mean_loss(self) -> float | None:
        """Return None: a map has no loss."""
        return None

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (5,)."""
        return np.array(astuple(self), np.int64)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64] | NDArray[np.float64]) -> MapSums:
        """Read the sums from a vector of whole numbers.

        Raises:
            MessageError: wrong length, a number that is negative or not whole, or numbers that contradict one another.
        """
        if vector.shape != (5,) or not np.all((vector >= 0) & (vector <= COUNT_LIMIT / UNIT) & (vector % 1 == 0)):
            raise MessageError("sums over maps are five whole numbers of 0 or more")
        made = cls(*(int(number) for number in vector))
        if made.images > COUNT_LIMIT or max(made.hits, *(part * UNIT for part in made.parts)) > made.images:
            raise MessageError("sums over maps contradict one another")
        return made

    @property
    def parts(self) -> tuple[int, int, int]:
        """Return the three sums of parts."""
        return self.mass, self.area, self.untrained

    def figures(self) -> dict[str, float]:
        """Return the means over images: ``pointing_game``, ``mass_in_lesion``, ``random`` and ``untrained``.

        Raises:
            ModelError: there is no image.
        """
        if not self.images:
            raise ModelError("no image with an outlined lesion was summed")
        means = (part * UNIT / self.images for part in self.parts)
        names = ("mass_in_lesion", "random", "untrained")
        return {"pointing_game": self.hits / self.images, **dict(zip(names, means, strict=True))}
