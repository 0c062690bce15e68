"""The catalogue of a hospital's gallery: what is known of each image, kept beside the index, for its owner only.

It is made in one go and replaces the one before whole, so that a page never shows half of one. A page of it is read by
its place: however many images there are, a look at 24 of them costs the same.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import StorageError

NAME = "gallery.sqlite"
EACH = 24
"""Images on a page."""
FORMAT = 1
Order = Literal["images", "worst", "explained"]
Shape = NDArray[np.uint8]
"""(rows, columns): 0 is background."""
_ORDERS: Mapping[Order, str] = {
    "images": "ORDER BY number",
    "worst": "WHERE error IS NOT NULL ORDER BY error DESC, number",
    "explained": "WHERE why IS NOT NULL ORDER BY error IS NULL, error DESC, number",
}
_TABLES = (
    "CREATE TABLE about (facts TEXT)",
    "CREATE TABLE images (number INTEGER PRIMARY KEY, file BLOB, patient INTEGER, label TEXT, slice INTEGER, "
    "boxes TEXT, outline BLOB, answer TEXT, answered BLOB, error REAL, why BLOB, why_said TEXT)",
    "CREATE INDEX by_error ON images (error)",
)


@dataclass(frozen=True)
class Entry:
    """What is known of one image."""

    number: int
    """From 1, in the order of their files."""
    file: str = field(repr=False)
    patient: int
    """A number from 1 that says nothing but which images are of one patient."""
    label: str = field(default="", repr=False)
    slice: int | None = None
    """Which slice of a file with several is shown; None for the one in the middle, or the only one."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Upper, left, lower and right edge, in pixels of the stored image."""
    outline: Shape | None = field(default=None, repr=False)
    """What the hospital outlined."""
    answer: str = field(default="", repr=False)
    """What the model said."""
    answered: Shape | None = field(default=None, repr=False)
    """What the model outlined."""
    error: float | None = None
    """How far the answer is from what the hospital says; None where that is not known."""
    why: bytes = field(default=b"", repr=False)
    """The map of what the answer hangs on, PNG."""
    why_said: str = ""


@dataclass(frozen=True)
class About:
    """What a catalogue is of."""

    made: str
    """When, in UTC, as ISO 8601."""
    images: int
    patients: int
    labelled: int
    outlined: int
    """Images with outlines or boxes."""
    refused: int
    """Files that the scan refused."""
    notes: tuple[str, ...] = ()
    """What could not be shown, and why: without a path."""
    model: str = ""
    """The name of the model that was asked."""
    digest: str = ""
    """Of the file of its weights, the first digits."""
    asked: int = 0
    judged: int = 0
    """Images for which the hospital says what is right."""
    explained: int = 0
    measure: str = ""
    """What the errors are, in words."""
    folder: str = field(default="", repr=False)
    """Of the model that was asked."""


def write_catalogue(state: Path, about: About, entries: Iterable[Entry]) -> None:
    """Write a catalogue in the place of the one before.

    Raises:
        StorageError: it cannot be written.
    """
    path = state / NAME
    new = state / f"{NAME}.new"
    with _said(path):
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with closing(sqlite3.connect(new)) as database:
                for table in _TABLES:
                    database.execute(table)
                database.execute(f"PRAGMA user_version = {FORMAT}")
                database.execute("INSERT INTO about VALUES (?)", (json.dumps(vars(about)),))
                holes = ", ".join("?" * 12)
                database.executemany(f"INSERT INTO images VALUES ({holes})", map(_row, entries))  # noqa: S608
                database.commit()
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def about(state: Path) -> About | None:
    """Return what the catalogue is of, or None where there is none.

    Raises:
        StorageError: it cannot be read.
    """
    with _opened(state) as database:
        if database is None:
            return None
        (text,) = database.execute("SELECT facts FROM about").fetchone()
        facts = json.loads(text)
        return About(**facts | {"notes": tuple(facts["notes"])})


def count(state: Path, order: Order) -> int:
    """Return how many images an order has.

    Raises:
        StorageError: it cannot be read.
    """
    with _opened(state) as database:
        if database is None:
            return 0
        where = _ORDERS[order].partition("ORDER")[0]
        return int(database.execute(f"SELECT COUNT(*) FROM images {where}").fetchone()[0])  # noqa: S608


def entries(state: Path, order: Order, page: int) -> list[Entry]:
    """Return the images of a page, from 1; none beyond the end.

    Raises:
        StorageError: it cannot be read.
    """
    words = f"SELECT * FROM images {_ORDERS[order]} LIMIT ? OFFSET ?"  # noqa: S608  # words of ours
    with _opened(state) as database:
        rows = database.execute(words, (EACH, (page - 1) * EACH)).fetchall() if database else []
        return [_entry(row) for row in rows]


def entry(state: Path, number: int) -> Entry | None:
    """Return one image by its number.

    Raises:
        StorageError: it cannot be read.
    """
    with _opened(state) as database:
        rows = database.execute("SELECT * FROM images WHERE number = ?", (number,)).fetchall() if database else []
        return _entry(rows[0]) if rows else None


def of_patient(state: Path, patient: int) -> list[Entry]:
    """Return the images of a patient of the gallery, by its number.

    Raises:
        StorageError: it cannot be read.
    """
    words = "SELECT * FROM images WHERE patient = ? ORDER BY number"
    with _opened(state) as database:
        return [_entry(row) for row in database.execute(words, (patient,)).fetchall()] if database else []


def add_map(state: Path, one: Entry) -> None:
    """Put the map of an image into the catalogue; nothing is changed if the image is not the one of its number now.

    Raises:
        StorageError: it cannot be written.
    """
    path = state / NAME
    with _said(path), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as database, database:
        which = (one.number, os.fsencode(one.file))
        words = "UPDATE images SET why = ?, why_said = ? WHERE number = ? AND file = ?"
        if database.execute(words, (one.why, one.why_said, *which)).rowcount:
            (text,) = database.execute("SELECT facts FROM about").fetchone()
            (explained,) = database.execute("SELECT COUNT(*) FROM images WHERE why IS NOT NULL").fetchone()
            facts = json.dumps(json.loads(text) | {"explained": explained})
            database.execute("UPDATE about SET facts = ?", (facts,))


def _row(one: Entry) -> Sequence[Any]:
    return (
        one.number,
        os.fsencode(one.file),
        one.patient,
        one.label,
        one.slice,
        json.dumps(one.boxes),
        _packed(one.outline),
        one.answer,
        _packed(one.answered),
        one.error,
        one.why or None,
        one.why_said,
    )


def _entry(row: Sequence[Any]) -> Entry:
    number, file, patient, label, at, boxes, outline, answer, answered, error, why, said = row
    return Entry(
        number,
        os.fsdecode(file),
        patient,
        label,
        at,
        tuple(tuple(box) for box in json.loads(boxes)),
        _unpacked(outline),
        answer,
        _unpacked(answered),
        error,
        why or b"",
        said,
    )


def _packed(shape: Shape | None) -> bytes | None:
    if shape is None or not shape.any():
        return None
    rows, columns = shape.shape
    head: bytes = rows.to_bytes(4, "big") + columns.to_bytes(4, "big")
    return head + zlib.compress(np.ascontiguousarray(shape).tobytes())


def _unpacked(content: bytes | None) -> Shape | None:
    if content is None:
        return None
    rows, columns = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
    return np.frombuffer(zlib.decompress(content[8:]), np.uint8).reshape(rows, columns)


@contextmanager
def _opened(state: Path) -> Iterator[sqlite3.Connection | None]:
    path = state / NAME
    with _said(path):
        if not path.is_file():
            yield None
            return
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            if database.execute("PRAGMA user_version").fetchone() != (FORMAT,):
                raise StorageError("the gallery is of another version", do="Have it made again.")
            yield database


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, zlib.error) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise StorageError(
            f"the gallery cannot be read or written ({why})", where=str(path), do="Have it made again."
        ) from None
