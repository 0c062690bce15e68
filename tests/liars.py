"""Hospitals that lie inside the masks: our hospital with one edit, the numbers that it masks.

Everything else of a liar is in order: its key, its signatures, its shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from wardround_client.hospital.answering import Hospital
from wardround_client.hospital.secure_desk import Desk
from wardround_common.messages.vote import sign_ballot
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import Masked, Upload

Lie = Callable[[str, Encoding, Masked], Masked]


@dataclass(frozen=True)
class LyingDesk(Desk):
    """A desk whose hospital masks other numbers than its work gave, and if it is a perjurer votes for every model."""

    lie: Lie = field(default=lambda what, encoding, masked: masked)
    perjurer: bool = False

    def upload(self, what: Any, number: int, question: bytes, cohort: bytes, make: Any, once: bytes = b"") -> Upload:
        def other(encoding: Encoding, threshold: int) -> Masked:
            return self.lie(what, encoding, make(encoding, threshold))

        return super().upload(what, number, question, cohort, other, once)

    def vote(self, number: int, models: bytes, judge: Callable[[], bool]) -> tuple[bool, bytes]:
        if not self.perjurer:
            return super().vote(number, models, judge)
        run, _ = self._run()
        return False, sign_ballot(self.identity, self.study.digest(), run, number, models, worse=False)


def lying(hospital: Hospital, lie: Lie, *, perjurer: bool = False) -> Hospital:
    """Return the hospital, which lies from now on."""
    desk = hospital.desk
    if desk is None:
        raise ValueError("a hospital without a desk masks nothing")
    kept = {each.name: getattr(desk, each.name) for each in fields(Desk) if each.init}
    other = LyingDesk(**kept, lie=lie, perjurer=perjurer)
    return replace(hospital, desk=other)


def training(count: int, value: int | Callable[[Encoding], int]) -> Lie:
    """Claim another number beside the update: 0 the weight, 1 the loss, 2 how many numbers were clipped."""

    def lie(what: str, encoding: Encoding, masked: Masked) -> Masked:
        if what == "train":
            claimed = value if isinstance(value, int) else value(encoding)
            masked.counts[count] = np.uint64(claimed % 2**64)
        return masked

    return lie


def levels(size: Callable[[Encoding], int], weight: int | None = None) -> Lie:
    """Send the same integer for each number of the update."""

    def lie(what: str, encoding: Encoding, masked: Masked) -> Masked:
        if what == "train":
            masked.update[:] = np.array(size(encoding) % 2**encoding.bits, encoding.dtype)
            if weight is not None:
                masked.counts[0] = np.uint64(weight % 2**64)
        return masked

    return lie


def scores(*changes: tuple[int, int]) -> Lie:
    """Add to the sums of scores, by their places in the vector."""

    def lie(what: str, encoding: Encoding, masked: Masked) -> Masked:
        if what == "evaluate":
            for place, value in changes:
                masked.counts[place] += np.uint64(value % 2**64)
        return masked

    return lie
