"""The work list of a fetch: a table of studies, by accession number, patient or StudyInstanceUID, with their labels."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from wardround_client.intake.labels import KEYS
from wardround_client.intake.table import delimiter_of, read_text, rows_of, whole_rows
from wardround_client.pacs.archive import Query
from wardround_common.errors import LabelError, PacsError, StorageError
from wardround_common.one_form import one_form
from wardround_common.storage import read_private, write_atomically

NAMES = {
    "study": ("study", "uid", "studyuid", "studyinstanceuid"),
    "accession": ("accession", "accessionnumber", "accessionno"),
    "patient": ("patient", "patientid"),
    "date": ("date", "studydate"),
    "modality": ("modality",),
}
"""What a column may be called, without spaces, underscores and capitals."""
IDENTIFY = ("study", "accession", "patient")
LABEL = "label"
_WRITTEN = "labels.sha256"


@dataclass(frozen=True)
class Line:
    """One line of the work list."""

    number: int
    query: Query
    rest: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The other columns, the label among them."""


def read_worklist(path: Path) -> tuple[list[Line], tuple[str, ...]]:
    """Read a work list, and the names of its further columns. Messages name the line, and never a cell.

    Raises:
        LabelError: it cannot be read, names no column that says which studies, or a line is wrong.
    """
    where, text = str(path), read_text(path, "of the studies", "accession,label", "studies to fetch")
    delimiter = delimiter_of(text, lambda names: any(_meaning(name) in IDENTIFY for name in names))
    rows = rows_of(text, delimiter, where)
    header = [name.strip().casefold() for name in next(rows, (1, []))[1]]
    meanings = [_meaning(name) for name in header]
    if not set(meanings) & set(IDENTIFY):
        raise LabelError(
            "the first line names none of the columns 'accession', 'patient' and 'study'",
            where=where,
            do="Begin with a line such as: accession,label",
        )
    if len({one or other for one, other in zip(meanings, header, strict=True)}) < len(header):
        raise LabelError("two columns have the same meaning", where=where, do="Keep one of them.")
    further = tuple(name for name, meaning in zip(header, meanings, strict=True) if not meaning and name)
    lines = []
    for number, row in whole_rows(rows, len(header), delimiter, where):
        cells = [one_form(cell.strip()) for cell in row]
        said = {meaning: cell for meaning, cell in zip(meanings, cells, strict=True) if meaning}
        rest = {name: cell for name, cell in zip(header, cells, strict=True) if name in further}
        lines.append(Line(number, _query(said, number, where), rest))
    if not lines:
        raise LabelError("this work list has no lines", where=where, do="Write one line for each study.")
    return lines, further


def _meaning(name: str) -> str:
    plain = "".join(filter(str.isalnum, name.casefold()))
    return next((meaning for meaning, names in NAMES.items() if plain in names), "")


def _query(said: Mapping[str, str], number: int, where: str) -> Query:
    if not any(said.get(key) for key in IDENTIFY):
        raise LabelError(
            f"line {number} names no study and no patient", where=where, do="Fill its cell, or remove the line."
        )
    try:
        day = _day(said.get("date", ""))
    except ValueError:
        raise LabelError(
            f"line {number} has no date that can be read", where=where, do="Write it as 2026-01-31."
        ) from None
    try:
        return Query(
            patient=said.get("patient", ""),
            accession=said.get("accession", ""),
            study=said.get("study", ""),
            dates=(day, day),
            modality=said.get("modality", ""),
            exact=True,
        )
    except PacsError as error:
        raise LabelError(f"line {number}: {error.what}", where=where, do=error.do) from None


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


@dataclass
class LabelTable:
    """The labels of the studies that were fetched, as the scan reads them: ``uid`` is the StudyInstanceUID.

    A table that somebody else wrote, or changed, is never written over; one of an earlier fetch is continued.
    """

    path: Path
    state: Path
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    given: dict[str, str] = field(default_factory=dict, repr=False)
    """The labels of this work list, which count more than those of an earlier one."""
    contradicted: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def begin(cls, path: Path, state: Path, columns: Iterable[str], label: str) -> LabelTable:
        """Read what an earlier fetch wrote.

        Raises:
            LabelError: the table there is somebody else's, or the work list has no such column.
            StorageError: it cannot be read.
        """
        further = tuple(name for name in columns if name not in (label, LABEL, *KEYS))
        table = cls(path, state, ("uid", LABEL, *further))
        if not path.exists():
            return table
        content = path.read_bytes()
        if not _same(state / _WRITTEN, content):
            raise LabelError(
                "this table of labels was not written by a fetch, or was changed since",
                where=str(path),
                do="Move it elsewhere, or name another table with --labels.",
            )
        header, *rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))
        for row in rows:
            before = dict(zip(header, row, strict=True))
            table.rows[before["uid"]] = tuple(before.get(name, "") for name in table.columns)
        return table

    def add(self, study: str, label: str, rest: Mapping[str, str]) -> None:
        """Assign a study its label; a study with two different labels keeps none."""
        self.rows[study] = (study, label, *(rest.get(name, "") for name in self.columns[2:]))
        if self.given.setdefault(study, label) != label:
            self.contradicted.add(study)

    def write(self) -> None:
        """Write the table, and remember what was written.

        Raises:
            StorageError: it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(row for study, row in self.rows.items() if study not in self.contradicted)
        content = text.getvalue().encode()
        before = (self.state / _WRITTEN).read_text() if (self.state / _WRITTEN).exists() else ""
        now = hashlib.sha256(content).hexdigest()
        # Both before and after are known while it is written, so that a crash in between makes nobody a stranger.
        write_atomically(self.state / _WRITTEN, f"{now}\n{before}".encode()[:260], private=True)
        write_atomically(self.path, content, private=True)


def _same(remembered: Path, content: bytes) -> bool:
    try:
        known: Sequence[str] = read_private(remembered, "what fetch wrote").decode().split()
    except (OSError, StorageError):
        return False
    return hashlib.sha256(content).hexdigest() in known[:2]
