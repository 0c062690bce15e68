"""What a study would take of this hospital and cost it, read by the command ``approve --json`` while the page waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wardround_common.errors import ServiceError
from wardround_common.pages.child import Children

MOST_KEPT = 50


@dataclass(frozen=True)
class Reading:
    """How far the reading for one study has come."""

    found: Mapping[str, Any] | None = None
    """What ``approve --json`` printed; None while it runs, or where it ended with an error."""
    failed: str = ""
    """Why there is nothing."""

    @property
    def runs(self) -> bool:
        """Whether it is still running."""
        return self.found is None and not self.failed


@dataclass(eq=False)
class Readings:
    """The readings of a hospital's studies, one at a time: each reads images and loads a network."""

    state: Path
    children: Children
    _by_study: dict[str, Reading] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, digest: str) -> Reading | None:
        """Return the reading for a study, or None if nobody asked for it since the service began."""
        return self._by_study.get(digest)

    def begin(self, digest: str) -> None:
        """Read the images for a study, in another process.

        Raises:
            ServiceError: another study is being read.
        """
        with self._lock:
            if any(reading.runs for reading in self._by_study.values()):
                raise ServiceError("this hospital's images are being read already", do="Wait until that has ended.")
            for old in list(self._by_study)[: max(0, len(self._by_study) - MOST_KEPT + 1)]:
                del self._by_study[old]
            self._by_study.pop(digest, None)
            self._by_study[digest] = Reading()
        threading.Thread(target=self._read, args=(digest,), name="reading for a page", daemon=True).start()

    def forget(self, digest: str) -> None:
        """Forget what was read: it was decided, or has changed."""
        with self._lock:
            self._by_study.pop(digest, None)

    def _read(self, digest: str) -> None:
        reading = Reading(failed="The images could not be read: see the service's log.")
        try:
            done = self.children.run(["hospital", "approve", digest, "--json", "--state", str(self.state)])
            reading = Reading(found=json.loads(done.out)) if done.code == 0 else Reading(failed=done.said or "stopped")
        finally:
            with self._lock:
                self._by_study[digest] = reading
