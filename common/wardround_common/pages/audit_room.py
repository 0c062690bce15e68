"""The room in which a service's audit log is read, the latest entries first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wardround_common.audit.commands import NO_ENTRY, latest, words_of
from wardround_common.audit.log import segments
from wardround_common.pages.site import Answer, Asked, Shown

ENTRIES = 100
"""On one page."""


def audit_room(folder: Path, verify: str) -> Callable[[Asked], Answer]:
    """Return what the room answers; ``verify`` is the command that says whether the log was changed."""

    def answer(asked: Asked) -> Answer:
        word = asked.query.get("before", "")
        before = int(word) if word.isascii() and word.isdigit() and len(word) < 15 else None
        found = latest(folder, before, ENTRIES + 1) if segments(folder) else []
        rows = [(e.number, e.time, e.what, words_of(e)) if e else (None, None, NO_ENTRY, "") for e in found[:ENTRIES]]
        numbers = [number for number, *_ in rows if number is not None]
        older = min(numbers) if len(found) > ENTRIES and numbers else None
        facts = {"rows": rows, "older": older, "newest": before is None, "verify": verify}
        return Shown("audit.html", {"title": "Audit log", **facts})

    return answer
