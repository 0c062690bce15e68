"""Other columns of the hospital's table of labels, such as ``age``: what is written of each file, as it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wardround_client.intake.instance import Instance
from wardround_client.intake.labels import BY_NAME, KEYS, LABELS_FILE, names_of, relative
from wardround_client.intake.table import delimiter_of, read_text, rows_of, whole_rows
from wardround_common.errors import LabelError
from wardround_common.one_form import one_form


@dataclass(frozen=True)
class Columns:
    """Some columns of a table, line by line."""

    folder: Path = field(repr=False)
    """What its files are below."""
    key: str
    """By what the lines are named: file, uid or patient."""
    there: dict[str, int]
    """Column to its place; one that the table has not is left out."""
    lines: dict[str, list[list[str]]] = field(repr=False)

    def cells(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return column to the cells of the lines under these names; of a patient's names, the first that there is."""
        named = [name for name in names if name in self.lines]
        rows = [row for name in (named[:1] if self.key == "patient" else named) for row in self.lines[name]]
        return {name: [row[place] for row in rows] for name, place in self.there.items()}


def find_columns(
    folder: Path,
    csv: Path | None,
    instances: Iterable[Instance],
    wanted: Collection[str],
    *,
    keyed: bool = False,
    what: str = "labels",
) -> dict[str, dict[str, list[str]]]:
    """Return what the table says: column to file to the cells of its lines; a column that is not there is left out.

    Columns are found by ``wanted`` without regard to capitals, lines by the table's column file, uid or patient.

    Raises:
        LabelError: the table cannot be read, or has one of these columns twice; or none of its columns says of which
            images a line is, where it has to be ``keyed``.
    """
    if csv is None:
        csv = folder / LABELS_FILE
        if not csv.is_file():
            return {}
    table = read_columns(folder, csv, wanted, keyed=keyed, what=what)
    if table is None:
        return {}
    said: dict[str, dict[str, list[str]]] = {name: {} for name in table.there}
    for instance in instances:
        for name, cells in table.cells(names_of(instance, table.key)).items():
            said[name][instance.file] = cells
    return said


def read_columns(
    folder: Path, csv: Path, wanted: Collection[str], *, keyed: bool = False, what: str = "labels"
) -> Columns | None:
    """Read some columns of a table, whose files are below ``folder``; None where it has none of them, or no key.

    Raises:
        LabelError: as :func:`find_columns`.
    """
    where, text = str(csv), read_text(csv, BY_NAME, ",".join(["patient", *sorted(wanted)]), what)
    forms = {one_form(name).casefold(): name for name in wanted}
    delimiter = delimiter_of(text, lambda header: bool(header & {*KEYS, *forms}))
    rows = rows_of(text, delimiter, where)
    header = [one_form(name.strip()).casefold() for name in next(rows, (1, []))[1]]
    if twice := sorted(form for form in forms if header.count(form) > 1):
        raise LabelError(f"the column '{twice[0]}' appears twice", where=where, do="Keep one of the two.")
    key = next((name for name in KEYS if name in header), None)
    there = {name: header.index(form) for form, name in forms.items() if form in header}
    if key is None and keyed:
        raise LabelError(
            "no column says of whom a line is", where=where, do="Name one of the columns patient, file or uid."
        )
    if key is None or not there:
        return None
    lines: dict[str, list[list[str]]] = {}
    for _, row in whole_rows(rows, len(header), delimiter, where):
        name = one_form(row[header.index(key)].strip())
        lines.setdefault(relative(name, folder) if key == "file" and name else name, []).append(row)
    lines.pop("", None)
    return Columns(folder, key, there, lines)
