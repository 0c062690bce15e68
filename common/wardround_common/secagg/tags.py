"""Tags by which the coordinator tells a share from garbage: check vectors (docs/secagg.md, section 4).

Rabin and Ben-Or, *Verifiable secret sharing and multiparty protocols with honest majority*, STOC 1989.
The tags of a share are linear functions of its numbers, each with a pad that is used once. The dealer gives shares and
tags to the holder, and factors and pads, by a seed, to the coordinator. So the pads keep the factors from the holder: a
share that it makes up passes with a probability of 1/(2^31 - 1)^2. And the coordinator learns nothing of a share before
it is opened. A hash of each share tells the same, and costs more than all else that a dealer does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_common.secagg.masks import keystream
from wardround_common.secagg.shamir import WORDS, RandomBytes

SEED_BYTES = 32
TAG_BYTES = 8
_PRIME = 2**31 - 1
_TAGS = 2  # a share


@dataclass(frozen=True)
class CheckKeys:
    """What tells a dealer's shares from garbage: the factors of each holder, and the pads of each share."""

    factors: NDArray[np.uint32] = field(repr=False)
    """(holders, 16, 2), each below 2^31 - 1."""
    pads: NDArray[np.uint32] = field(repr=False)
    """(holders, secrets, 2), each below 2^31 - 1."""

    @classmethod
    def drawn(cls, circle: int, random: RandomBytes) -> tuple[bytes, CheckKeys]:
        """Draw a seed and its keys; ``random`` must be the system's generator.

        A seed that gives a number of 2^31 - 1 is drawn again, one of 100,000 or so: so every number of the field is
        exactly as likely.
        """
        while True:
            seed = random(SEED_BYTES)
            keys = cls.of(seed, circle)
            if max(int(keys.factors.max()), int(keys.pads.max())) < _PRIME:
                return seed, keys

    @classmethod
    def of(cls, seed: bytes, circle: int) -> CheckKeys:
        """Return the keys of a seed for as many holders and secrets as are in a circle."""
        drawn = keystream(seed, circle * (WORDS + circle) * _TAGS) & np.uint32(_PRIME)  # without the highest bit
        factors, pads = drawn[: circle * WORDS * _TAGS], drawn[circle * WORDS * _TAGS :]
        return cls(factors.reshape(circle, WORDS, _TAGS), pads.reshape(circle, circle, _TAGS))

    def of_secrets(self, secrets: list[int]) -> CheckKeys:
        """Return the keys for some of the secrets only."""
        return CheckKeys(self.factors.copy(), self.pads[:, secrets])


def tags(numbers: NDArray[np.float64], factors: NDArray[np.uint32], pads: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the tags (..., shares, 8) of shares of a holder.

    ``numbers``: of the shares (..., shares, 16), whole ones up to 2^16; ``factors``: the holder's (..., 16, 2);
    ``pads``: the shares' (..., shares, 2). Sums of 16 products below 2^47, and a pad, are exact in float64.
    """
    found = numbers @ factors.astype(np.float64)
    found += pads
    written: NDArray[np.uint8] = (found.astype(np.int64) % _PRIME).astype(">u4").view(np.uint8)
    return written
