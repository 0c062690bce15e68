"""What a model said, in a folder of the hospital's: a line for each case, on disk as it comes, and the files of each.

A line is written after the files that it names. A run that was cut off is resumed by the same command: what was
answered is not asked about again, what was begun, or refused, is done anew. Only a folder that is empty, or that
another run of the same model began, is written to. An answer is replaced only where the files that it is of have
changed since, or lack an object or a picture that is asked for now. The case that is being read is noted meanwhile, so
that the next run knows at which file a decoder ended this one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from wardround_client.intake.readers import ENDS_A_READER
from wardround_common.errors import ImageRefused, StorageError
from wardround_common.results.model_folder import MODEL, Card
from wardround_common.results.unlike import UNLIKE
from wardround_common.storage import LOCK, alone_in, half_written, no_room_is_said, sweep, write_atomically

HEAD, LINES, TABLE, READING = "predict.json", "predictions.jsonl", "predictions.csv", "reading"
DECODERS = "decoders.json"
"""At which files a decoder crashed or hung, as they were then: they are not tried again until they change."""
FORMAT = "wardround predictions 1"
Line = dict[str, Any]
Rows = Callable[[Mapping[str, Any]], list[dict[str, Any]]]
"""From a line to the rows of a table."""


@dataclass(frozen=True)
class Names:
    """What is kept in a folder, and in which files."""

    what: str
    format: str
    head: str
    lines: str
    table: str


PREDICTIONS = Names("predictions", FORMAT, HEAD, LINES, TABLE)


@dataclass(eq=False)
class Kept:
    """The folder of a run of predictions, or of whatever else a model is asked for."""

    folder: Path = field(repr=False)
    names: Names = PREDICTIONS
    lines: dict[str, Line] = field(default_factory=dict, repr=False)
    """By the name of the case, the last line of each."""
    _file: IO[bytes] | None = field(default=None, repr=False)
    _noted: str = field(default="", repr=False)
    """The case that a run was reading when it ended without a word."""
    _failed: dict[str, list[str]] = field(default_factory=dict, repr=False)
    """By the name of a case: what its files were when a decoder crashed or hung, the reason, and words."""

    def is_done(self, name: str, files: Iterable[Path] = (), wanted: Sequence[str] = ()) -> bool:
        """Tell whether a case was answered; one that was refused may be another file by now, or be allowed.

        ``files``: what the case is now; ``wanted``: the endings of the files that are to be written of it.
        """
        line = self.lines.get(name, {"refused": ""})
        if "refused" in line or ("stamp" in line and line["stamp"] != stamp_of(files)):
            return False
        return all(any(one.endswith(ending) for one in line.get("files", ())) for ending in wanted)

    def is_suspect(self, name: str) -> bool:
        """Tell whether a run ended while it read a case, or its decoder is known to crash or hang there."""
        return name == self._noted or self.lines.get(name, {}).get("refused") in ENDS_A_READER

    def check(self, name: str, files: Iterable[Path]) -> None:
        """Refuse a case at which a decoder crashed or hung before, if its files are what they were.

        Raises:
            ImageRefused: they are: a hanging decoder costs its two minutes once.
        """
        before = self._failed.get(name)
        if before is not None and before[0] == _stamp(files):
            raise ImageRefused(before[1], before[2], do="Replace the file, and it is tried again.")

    def remember(self, name: str, files: Iterable[Path], refused: ImageRefused) -> None:
        """Remember that a decoder crashed or hung at a case."""
        self._failed[name] = [_stamp(files), refused.reason, refused.what]
        content = json.dumps(self._failed, ensure_ascii=False).encode("utf-8", "surrogateescape")
        write_atomically(self.folder / DECODERS, content, private=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Note that a case is being read; the note outlives this process only if it ends within."""
        note = self.folder / READING
        with no_room_is_said(note):
            descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, os.fsencode(name))
            finally:
                os.close(descriptor)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)

    def add(self, line: Line) -> None:
        """Write the line of a case; it survives a crash of the process from now on, and a power cut after ``sync``.

        Files of a line that it replaces are removed where it has none of that name: they are of other images.
        """
        if self._file is None:
            raise ValueError("the folder is closed")
        before = self.lines.get(line["input"], {})
        if before == line:
            return
        with no_room_is_said(self.folder / self.names.lines):
            self._file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")
            self._file.flush()
        self.lines[line["input"]] = line
        for name in {Path(one).name for one in before.get("files", ())} - {*line.get("files", ())}:
            (self.folder / name).unlink(missing_ok=True)

    def sync(self) -> None:
        """Let what was written survive a power cut."""
        if self._file is not None:
            with no_room_is_said(self.folder / self.names.lines):
                os.fsync(self._file.fileno())

    def write(self, name: str, content: bytes) -> str:
        """Write a file of a case whose line follows; return its name."""
        write_atomically(self.folder / name, content, private=True)
        return name

    def tabulate(self, rows: Rows) -> Path:
        """Write the table of all lines; cells that a spreadsheet would take for a formula are quoted."""
        table = [row for line in self.lines.values() for row in _rows(line, rows)]
        columns = list(dict.fromkeys(name for row in table for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in table)
        write_atomically(
            self.folder / self.names.table, text.getvalue().encode("utf-8", "surrogateescape"), private=True
        )
        return self.folder / self.names.table


def _rows(line: Line, rows: Rows) -> Iterator[dict[str, Any]]:
    first = {"input": line["input"], "patient": line.get("patient", ""), "refused": line.get("refused", "")}
    if "body_part" in line:
        first["body_part"] = line["body_part"]
    if "unlike" in line:
        first |= {"distance": line["unlike"]["distance"], "unlike": line["unlike"]["unlike"]}
    for row in [{}] if "refused" in line else rows(line):
        yield first | row


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value[:1] else value


@contextmanager
def keeping(
    folder: Path, card: Card, names: Names = PREDICTIONS, settings: Mapping[str, Any] | None = None
) -> Iterator[Kept]:
    """Open a folder for what a model says: a new one, or one that a run of the same model began.

    It is the same if its operating point and temperature are, and what else decides on what is written: ``settings``.

    Raises:
        StorageError: it holds anything else, another process is writing to it, or it cannot be written.
    """
    head = folder / names.head
    facts: Line = {"format": names.format, "model": card.name, "study": card.study_digest, "weights": card.files[MODEL]}
    facts |= {"point": card.point, "temperature": card.temperature}  # with others, the same weights answer otherwise
    if UNLIKE in card.files:
        facts[UNLIKE] = card.files[UNLIKE]
    facts |= settings or {}
    with no_room_is_said(folder):
        others = [path.name for path in folder.iterdir()] if folder.exists() else []
    if not head.exists():
        if set(others) - {LOCK, *(left.name for left in half_written(folder, names.head))}:
            raise StorageError(
                "this folder holds other files, and nothing is written among them",
                where=str(folder),
                do="Name a new folder with --out.",
            )
        write_atomically(head, json.dumps(facts, indent=1).encode(), private=True)
    elif _facts(head) != facts:
        raise StorageError(
            f"this folder holds the {names.what} of another model, or with other settings",
            where=str(folder),
            do="Name another folder with --out.",
        )
    with alone_in(folder):
        sweep(folder)
        lines = folder / names.lines
        known = _read(lines, names)
        with (
            no_room_is_said(lines),
            os.fdopen(os.open(lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file,
        ):
            yield Kept(folder, names, known, file, _noted(folder), _failures(folder))


def stamp_of(files: Iterable[Path]) -> str:
    """Return what changes where one of a case's files does."""
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            found = path.stat()
        except OSError:
            continue
        digest.update(f"{found.st_size} {found.st_mtime_ns} ".encode() + os.fsencode(path))
    return digest.hexdigest()[:32]


def _stamp(files: Iterable[Path]) -> str:
    """Return what changes where a file does, or the code that reads it."""
    return f"{version('wardround')} {stamp_of(files)}"


def _failures(folder: Path) -> dict[str, list[str]]:
    try:
        found = json.loads((folder / DECODERS).read_bytes().decode("utf-8", "surrogateescape"))
        return {name: [stamp, reason, what] for name, (stamp, reason, what) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # what it says only saves time


def _noted(folder: Path) -> str:
    try:
        return os.fsdecode((folder / READING).read_bytes())
    except OSError:
        return ""


def _facts(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _read(path: Path, names: Names) -> dict[str, Line]:
    """Read the lines of an earlier run; the end of one that was cut off while it was written is taken away."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with no_room_is_said(path):
            os.truncate(path, len(whole))
    try:
        lines = [json.loads(line.decode("utf-8", "surrogateescape")) for line in whole.splitlines()]
        return {line["input"]: line for line in lines}
    except (ValueError, KeyError, TypeError):
        raise StorageError(
            f"this is not what a run of {names.what} wrote", where=str(path), do="Name another folder with --out."
        ) from None
