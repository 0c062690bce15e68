"""A hospital's record of answers: how many of each kind and outcome, how long they took, and the last failure.

What an error says stays in the hospital and out of its log: it is kept in one private file for its own people.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wardround_common.errors import PausedError, StorageError, WardroundError
from wardround_common.storage import write_atomically

if TYPE_CHECKING:  # of Flower and numpy, which a look at the status does not need
    from wardround_client.hospital.app import Answering, Reply
    from wardround_common.messages.rounds import Parts

FAILURE = "failure.txt"
ANSWERED, CRASHED = "answered", "crashed"


@dataclass(eq=False)
class Attendance:
    """Answers by ``ward``, and counts; ``folder`` is the hospital's own."""

    ward: Answering
    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    _seconds: dict[str, float] = field(default_factory=dict)
    _said: str = ""

    def answer(self, kind: str, parts: Parts) -> Reply:
        """Answer one question of the coordinator; raises what the ward raises."""
        began, outcome = time.monotonic(), CRASHED
        try:
            reply = self.ward.answer(kind, parts)
            outcome = ANSWERED
            return reply
        except WardroundError as error:
            outcome = error.kind
            if not isinstance(error, PausedError):  # its people want it so
                self._keep(kind, error)
            raise
        except Exception as error:  # a bug, or a graphics card that is gone: its people can read why, nobody else
            self._keep(kind, error)
            raise
        finally:
            with self._lock:
                self._answers[kind, outcome] += 1
                self._seconds[kind] = self._seconds.get(kind, 0.0) + time.monotonic() - began

    def answers(self) -> dict[tuple[str, str], int]:
        """Count the answers since this process started, by the kind of the question and the outcome.

        The outcome is ``answered``, ``crashed``, or the fixed word of an error's class.
        """
        with self._lock:
            return dict(self._answers)

    def seconds(self) -> dict[str, float]:
        """Add up the time that answers took, by the kind of the question."""
        with self._lock:
            return dict(self._seconds)

    def _keep(self, kind: str, error: Exception) -> None:
        said = f"{kind}: {error}" if isinstance(error, WardroundError) else f"{kind}: {type(error).__name__}: {error}"
        if said == self._said:
            return
        self._said = said
        with suppress(StorageError):  # a full disk is what the link itself says
            text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {said}\n"
            write_atomically(self.folder / FAILURE, text.encode("utf-8", "replace"), private=True)


def last_failure(folder: Path) -> str:
    """Read what was kept of the last answer that failed; nothing if none did."""
    try:
        return (folder / FAILURE).read_text("utf-8").strip()
    except OSError:
        return ""
