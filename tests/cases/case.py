"""One case, and what a case has to look at what becomes of it."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from wardround_common.shell.cli import main

LONG = 40
"""Characters after what is expected that are shown all the same."""


@dataclass(frozen=True)
class Case:
    """Something that is put in, and what is expected of it, in words that what became of it must contain."""

    put_in: str
    expected: str
    """Clauses with semicolons between them; each must be said."""
    became: Callable[[Path], str]
    """Put it in, below an empty folder, and say what became of it."""
    slow: bool = False
    """Whether it takes longer than a second or two."""

    def as_expected(self, became: str) -> bool:
        """Tell whether all that is expected was said."""
        return None not in self._found(became)

    def shortened(self, became: str) -> str:
        """Cut off what was said after all that is expected, at the end of a word."""
        end = max((found.end() for found in self._found(became) if found), default=0)
        rest = became[end:]
        return became if len(rest) < LONG else became[:end] + rest.partition(" ")[0] + " …"

    def _found(self, became: str) -> list[re.Match[str] | None]:
        """Find each clause, as whole words: ten pairs are not none."""
        return [re.search(rf"(?<!\w){re.escape(clause)}(?!\w)", became) for clause in self.expected.split("; ")]


@dataclass(frozen=True)
class Done:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The message of a command that failed, without what to do about it; empty if it did not fail."""
        return f"exit code {self.code}: {one_line(self.err.split('→')[0]).removeprefix('Error: ')}" if self.code else ""


def wardround(*words: object) -> Done:
    """Run the product's command in this process, as a person types it."""
    out, err = io.StringIO(), io.StringIO()
    typed = patch.object(sys, "argv", ["wardround", *map(str, words)])
    with typed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _code(main)
    return Done(code, out.getvalue(), err.getvalue())


def _code(command: Callable[[], NoReturn]) -> int:
    try:
        command()
    except SystemExit as end:
        return int(end.code or 0)


def one_line(text: str) -> str:
    """Take line breaks and the padding of tables out of a text."""
    return " ".join(text.split())


def row_of(done: Done, name: str) -> str:
    """Return one row of the screen that a scan leaves, however it was wrapped."""
    rows = done.out.splitlines()
    first = next(place for place, row in enumerate(rows) if row.startswith(name))
    following = itertools.takewhile(lambda row: row.startswith(" "), rows[first + 1 :])
    return one_line(" ".join([rows[first].removeprefix(name), *following]))


def scan(here: Path, *options: object) -> Done:
    """Scan the folder ``images`` of a case."""
    return wardround("scan", here / "images", "--state", here / "state", "--workers", 1, *options)


def counted(here: Path, *options: object) -> dict[str, Any]:
    """Return the counts of a scan, as it gives them to programs."""
    found: dict[str, Any] = json.loads(scan(here, "--json", *options).out)
    return found


def of(number: int, what: str) -> str:
    """Say a number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(counts: dict[str, int]) -> str:
    """Say counts by their words."""
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def sorted_out(here: Path, *options: object) -> str:
    """Scan, and say how many images are accepted and which are not."""
    found = counted(here, *options)
    accepted = f"{of(found['accepted'], 'image')} accepted"
    return f"{accepted}, refused: {listed(found['refused'])}" if found["refused"] else accepted
