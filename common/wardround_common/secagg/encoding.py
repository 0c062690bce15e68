"""Numbers as integers of a ring, so that a sum of masked vectors is the sum of the vectors (section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.buffers import vacant
from wardround_common.errors import MessageError, ModelError, RoundError
from wardround_common.messages.parameters import Vector
from wardround_common.randomness import Stream

COUNT_LIMIT = 2**56  # of one hospital: the sum over up to 127 hospitals stays below 2^63
_BLOCK = 1 << 16  # coordinates at a time, so that float64 copies stay small


@dataclass(frozen=True)
class Encoding:
    """How updates of a study become integers of ``bits`` bits when ``hospitals`` of them are summed.

    A coordinate is clipped to ±``clip``, weighted by the hospital's images over ``largest_weight``, and rounded at
    random, up or down, to one of the levels from -L to L, so that the expectation is exact. L is the largest with
    hospitals · L ≤ 2^(bits-1) - 1: the sum cannot wrap.
    """

    hospitals: int
    bits: int
    clip: float
    largest_weight: int

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise RoundError(f"a ring of {self.bits} bits cannot hold a sum over {self.hospitals} hospitals")

    @property
    def levels(self) -> int:
        """L, the largest size of one hospital's integer."""
        return ((1 << (self.bits - 1)) - 1) // self.hospitals

    @property
    def dtype(self) -> np.dtype[Any]:
        """The ring's type."""
        return np.dtype("<u2" if self.bits == 16 else "<u4")

    @property
    def level(self) -> float:
        """What one of the ring's integers stands for: a weighted number of an update."""
        return self.clip * self.largest_weight / self.levels

    def most(self, weight: int, hospitals: int) -> int:
        """Return the largest size of an integer of a sum over a number of hospitals that weigh ``weight`` together.

        Each hospital's is at most L · its weight / largest_weight, and off by less than a level from rounding; a second
        level is room for what floating point does before.
        """
        return self.levels * weight // self.largest_weight + 2 * hospitals

    def largest(self, total: NDArray[Any]) -> int:
        """Return the size of the largest integer of a sum in the ring."""
        signed = self._signed(total)
        return max(int(signed.max(initial=0)), -int(signed.min(initial=0)))

    def weight(self, examples: int) -> int:
        """Return the weight of a hospital with this number of training images."""
        return min(examples, self.largest_weight)

    def encode(self, update: Vector, weight: int, rounding: Stream) -> NDArray[Any]:
        """Return an update (parameters,) float32 with its weight as integers of the ring.

        Raises:
            ModelError: a number is not finite.
        """
        encoded = vacant(len(update), self.dtype)
        scale = self.levels / self.clip * (weight / self.largest_weight)
        for start in range(0, len(update), _BLOCK):
            part = update[start : start + _BLOCK].astype(np.float64)
            if not np.isfinite(part).all():
                raise ModelError(
                    "an update has numbers that are not finite", do="Lower the learning rate in [training]."
                )
            np.clip(part, -self.clip, self.clip, out=part)
            part *= scale
            part += rounding.words((len(part) + 1) // 2).view(np.uint32)[: len(part)] * 2.0**-32
            np.floor(part, out=part).clip(-self.levels, self.levels, out=part)
            encoded[start : start + _BLOCK] = part.astype(np.int32).astype(self.dtype)  # modulo 2^bits
        return encoded

    def decode(self, total: NDArray[Any], weight: int = 1) -> NDArray[np.float64]:
        """Return the sum of weighted updates from the sum in the ring, over ``weight``."""
        signed = self._signed(total)
        decoded = vacant(len(signed), np.float64)
        level = self.level
        for start in range(0, len(signed), _BLOCK):  # three passes in a core's own cache, and one through memory
            part = decoded[start : start + _BLOCK]
            part[:] = signed[start : start + _BLOCK]
            part *= level
            part /= weight
        return decoded

    def _signed(self, total: NDArray[Any]) -> NDArray[Any]:
        return total.view("<i2" if self.bits == 16 else "<i4")


def count_limit(hospitals: int) -> int:
    """Return what a count of one of a number of hospitals must be below, so that their sum is below 2^63."""
    return min(COUNT_LIMIT, 2**63 // hospitals)


def encode_counts(counts: NDArray[np.int64], hospitals: int) -> NDArray[np.uint64]:
    """Return counts and score sums as integers of the ring 2^64, for a sum over a number of hospitals.

    Raises:
        MessageError: one is negative, or so large that a sum could wrap.
    """
    if not np.all((counts >= 0) & (counts < count_limit(hospitals))):
        raise MessageError("a count is negative or too large to be added")
    return counts.astype("<u8")


def decode_counts(total: NDArray[np.uint64], hospitals: int) -> NDArray[np.int64]:
    """Return the sums of counts over a number of hospitals.

    Raises:
        MessageError: a sum is larger than that many hospitals can give: one of them did not follow the protocol.
    """
    if not np.all(total < hospitals * count_limit(hospitals)):
        raise MessageError("a sum of counts is not possible: one hospital did not follow the protocol")
    return total.astype(np.int64)
