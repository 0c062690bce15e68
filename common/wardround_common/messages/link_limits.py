"""What either end of the link between hospital and coordinator accepts from the other, and announces."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
SHORT = frozenset({"query.propose", "query.confirm", "query.open"})
"""Types of messages without a network's parameters: such a question is answered immediately, even during a long one."""

HOLDS_HEADER = "x-wardround-holds"
"""In a hospital's heartbeat: the questions that it has, answered or not, by the first digits of their names."""
HOLDS_DIGITS = 16


@dataclass(frozen=True)
class LinkLimits:
    """How much one end of a link may ask of the other's memory, disk and time. Both ends hold to the same values.

    A message travels as a tree of parts, each by itself: the arrays of a network in chunks of 5 MiB. The receiver
    counts what comes and believes no size that the sender states. What exceeds a limit is refused as a whole.
    """

    body_bytes: int = 16 * MIB
    """Of one HTTP request or answer, which holds small parts and at most one large one."""
    body_s: float = 120.0
    """For one such body to arrive: 16 MiB in this time need a line of 1.1 Mbit/s."""
    head_bytes: int = 16 * 2**10
    """Of the head of one HTTP request."""
    parts: int = 2_000
    """Of one message."""
    long_bytes: int = 1024 * MIB
    """Of one message that may carry parameters, all parts together: a network of 256 million float32."""
    short_bytes: int = 4 * MIB
    """Of one message of the :data:`SHORT` types, which a hundred hospitals' keys and signatures fill to a fraction."""
    waiting: int = 32
    """Questions that a hospital keeps at a time: one long one, and short ones of several studies."""

    def message_bytes(self, message_type: str) -> int:
        """Return how many bytes the parts of a message of this type may have together."""
        return self.short_bytes if message_type in SHORT else self.long_bytes
