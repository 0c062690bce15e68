"""Runs one of our own commands as a person would type it: what a page does is what the command does, and no second way.

The child is started anew and not forked, and has no terminal. What it needs of memory, and whatever it imports, ends
with it; a service that trains is not disturbed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

_MAIN = "from wardround_common.shell.cli import main; main()"
MOST_OUTPUT = 2**20
"""Characters of an answer; the commands that pages run say much less."""
END_S = 5.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    said: str
    """What it said on standard error, without the word Error."""


@dataclass(eq=False)
class Children:
    """The commands that run for one service's pages; :meth:`close` ends them."""

    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, words: Sequence[str], within_s: float | None = None, most: int = MOST_OUTPUT) -> Done:
        """Run ``wardround`` with these words and wait for its end, or for so long; ``most`` characters are its answer.

        One that takes longer is ended: its code is 124 and it says so.
        """
        quiet = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
        with self._lock:
            if self._closed:
                return Done(130, "", "The service is stopping: nothing was changed.")
            child = subprocess.Popen(  # noqa: S603  # our own command; no shell reads the words
                [sys.executable, "-P", "-c", _MAIN, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | quiet,
            )
            self._running.add(child)
        try:
            out, err = child.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return Done(124, "", f"This took longer than {within_s:g} seconds, and was ended.")
        finally:
            with self._lock:
                self._running.discard(child)
        return Done(child.returncode, out[:most], err[-MOST_OUTPUT:].removeprefix("Error: ").strip())

    def close(self) -> None:
        """End what runs, as Ctrl-C would, and run nothing more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.terminate()
        for child in running:
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                child.kill()
