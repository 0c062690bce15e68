"""Other columns of the hospital's table of labels, such as ``age``: what is written of each file, as it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from wardround_client.intake.instance import Instance
from wardround_client.intake.labels import BY_NAME, KEYS, LABELS_FILE, names_of, relative
from wardround_client.intake.table import delimiter_of, read_text, rows_of, whole_rows
from wardround_common.errors import LabelError
from wardround_common.one_form import one_form


def find_columns(
    folder: Path, csv: Path | None, instances: Iterable[Instance], wanted: Collection[str]
) -> dict[str, dict[str, list[str]]]:
    """Return what the table says: column to file to the cells of its lines; a column that is not there is left out.

    Columns are found by ``wanted`` without regard to capitals, lines by the table's column file, uid or patient.

    Raises:
        LabelError: the table cannot be read, or has one of these columns twice.
    """
    if csv is None:
        csv = folder / LABELS_FILE
        if not csv.is_file():
            return {}
    where, text = str(csv), read_text(csv, BY_NAME)
    forms = {one_form(name).casefold(): name for name in wanted}
    delimiter = delimiter_of(text, lambda header: bool(header & {*KEYS, *forms}))
    rows = rows_of(text, delimiter, where)
    header = [one_form(name.strip()).casefold() for name in next(rows, (1, []))[1]]
    if twice := sorted(form for form in forms if header.count(form) > 1):
        raise LabelError(f"the column '{twice[0]}' appears twice", where=where, do="Keep one of the two.")
    key = next((name for name in KEYS if name in header), None)
    there = {name: header.index(form) for form, name in forms.items() if form in header}
    if key is None or not there:
        return {}
    lines: dict[str, list[list[str]]] = {}
    for _, row in whole_rows(rows, len(header), delimiter, where):
        name = one_form(row[header.index(key)].strip())
        lines.setdefault(relative(name, folder) if key == "file" and name else name, []).append(row)
    lines.pop("", None)
    said: dict[str, dict[str, list[str]]] = {name: {} for name in there}
    for instance in instances:
        named = [name for name in names_of(instance, key) if name in lines]
        found = [row for name in (named[:1] if key == "patient" else named) for row in lines[name]]
        for name, place in there.items():
            said[name][instance.file] = [row[place] for row in found]
    return said
