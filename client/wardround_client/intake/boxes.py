"""The boxes of a hospital's lesions, from ``boxes.csv``: a line for each box, or for an image in which nothing is.

An image that no line names is not one without a lesion: nobody looked at it, and it is left out. Messages name the file
and the line, never what is written there about a patient.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import (
    BOXES_FILE,
    BY_NAME,
    as_class,
    check_names,
    named_patients,
    names_of,
    patients_beside,
    relative,
)
from wardround_client.intake.table import delimiter_of, read_text, rows_of, whole_rows
from wardround_common.counting import count
from wardround_common.errors import LabelError
from wardround_common.metrics.boxes import MOST_BOXES
from wardround_common.one_form import one_form

COLUMNS = ("x0", "y0", "x1", "y1", "class")
KEYS = ("file", "uid")
LIKE = "file,x0,y0,x1,y1,class"
_NUMBER = re.compile(r"-?\d{1,7}(?:[.,]\d{1,6})?")


@dataclass(frozen=True, order=True)
class Box:
    """A box in pixels of the stored image: a pixel's edges are whole numbers, its centre lies halfway between them."""

    top: float
    left: float
    bottom: float
    right: float
    of_class: int
    """The number of its class in the study."""


@dataclass(frozen=True)
class Boxes:
    """What is said of each accepted file."""

    of: dict[str, tuple[Box, ...]] = field(repr=False)
    """File to boxes; none where somebody looked and found nothing."""
    patients: dict[str, str] = field(repr=False)
    """File to patient, where a table names one."""
    unmet: dict[str, int]
    """Lines that are of no accepted file, by reason."""


@dataclass
class _Said:
    """What the lines say of one file."""

    line: int
    boxes: dict[Box, int] = field(default_factory=dict)
    nothing: bool = False


def find_boxes(folder: Path, index: Index, classes: tuple[str, ...], *, csv: Path | None = None) -> Boxes:
    """Read which boxes each accepted file has.

    Raises:
        LabelError: there is no table, a line of it cannot be read or contradicts another one, a box is empty, lies
            outside its image or is of no class of the study, or no line belongs to an accepted image.
    """
    path = csv if csv is not None else folder / BOXES_FILE
    if csv is None and not path.is_file():
        raise LabelError(
            "there are no boxes",
            where=str(folder),
            do=f"Put a '{BOXES_FILE}' with the columns {LIKE} there, or give one {BY_NAME}; docs/detection.md "
            "says how.",
        )
    where, text = str(path), read_text(path, BY_NAME, LIKE)
    delimiter = delimiter_of(text, lambda header: header.issuperset(COLUMNS))
    rows = rows_of(text, delimiter, where)
    header = [name.strip().casefold() for name in next(rows, (1, []))[1]]
    key = _check_header(header, where)
    of_key, of_columns = header.index(key), [header.index(name) for name in COLUMNS]
    of_patient = header.index("patient") if "patient" in header else None
    said: dict[str, _Said] = {}
    patients: dict[str, str] = {}
    for line, row in whole_rows(rows, len(header), delimiter, where):
        name = one_form(row[of_key].strip())
        if not name:
            raise LabelError(
                f"line {line} has no {key}", where=where, do=f"Fill the column '{key}', or remove the line."
            )
        if key == "file":
            name = relative(name, folder)
        patient = one_form(row[of_patient].strip()) if of_patient is not None else ""
        if patient and patients.setdefault(name, patient) != patient:
            raise LabelError(f"line {line} gives a {key} another patient than an earlier line", where=where)
        _add(said.setdefault(name, _Said(line)), [row[place].strip() for place in of_columns], line, classes, where)
    if not said:
        raise LabelError("this file has no lines", where=where, do=f"Write one for each image or box, below {LIKE}")
    if key == "file":
        check_names(index, {name: ("", one.line) for name, one in said.items()}, where)
    found = {one.file: told for one in index.accepted if (told := _of(one, key, said, where)) is not None}
    unmet = _unmet(index, key, said)
    if not found:
        raise LabelError(
            f"it names {count(len(said), 'image')}, and none of the accepted images of this folder",
            where=where,
            do="Write paths relative to the folder of images, or SOP instance UIDs; "
            f"'wardround scan {shlex.quote(str(folder))}' says what was refused.",
        )
    return Boxes(found, patients_beside(folder, index) | named_patients(index, key, patients), unmet)


def _check_header(header: list[str], where: str) -> str:
    if missing := [name for name in COLUMNS if name not in header]:
        raise LabelError(
            f"the first line names no column '{missing[0]}'", where=where, do=f"Begin with a line such as: {LIKE}"
        )
    key = next((name for name in KEYS if name in header), None)
    if key is None:
        raise LabelError(
            "the first line names neither of the columns 'file' and 'uid'",
            where=where,
            do=f"Add one of them to say in which image a box lies, such as: {LIKE}",
        )
    if twice := [name for name in (key, *COLUMNS) if header.count(name) > 1]:
        raise LabelError(f"the column '{twice[0]}' appears twice", where=where, do="Keep one of the two.")
    return key


def _add(said: _Said, cells: list[str], line: int, classes: tuple[str, ...], where: str) -> None:
    if not any(cells):
        said.nothing = True
    else:
        box = _read(cells, line, classes, where)
        if before := said.boxes.get(box):
            raise LabelError(f"lines {before} and {line} are the same box", where=where, do="Keep one of them.")
        said.boxes[box] = line
    if said.nothing and said.boxes:
        raise LabelError(
            f"line {line}: of this image one line has a box, and another says that nothing is there",
            where=where,
            do="Leave x0, y0, x1, y1 and class empty only for an image without any box.",
        )
    if len(said.boxes) > MOST_BOXES:
        raise LabelError(f"line {line}: an image has more than {MOST_BOXES} boxes", where=where)


def _read(cells: list[str], line: int, classes: tuple[str, ...], where: str) -> Box:
    for name, cell in zip(COLUMNS[:4], cells, strict=False):
        if not _NUMBER.fullmatch(cell):
            raise LabelError(
                f"line {line}: its {name} is not a number",
                where=where,
                do="Write pixels of the stored image, such as 120 or 120.5; leave all five cells empty for an image "
                "in which nothing is.",
            )
    left, top, right, bottom = (float(cell.replace(",", ".")) for cell in cells[:4])
    if not (left < right and top < bottom):
        raise LabelError(
            f"line {line}: its box is empty",
            where=where,
            do="x0 is the left edge and x1 the right one, y0 the upper edge and y1 the lower one; a box of a single "
            "pixel goes from 7 to 8.",
        )
    word = as_class(one_form(cells[4]), classes, f"line {line}", where)
    return Box(top, left, bottom, right, classes.index(word))


def _of(instance: Instance, key: str, said: dict[str, _Said], where: str) -> tuple[Box, ...] | None:
    """Return the boxes of one file; None if no line is of it."""
    names = names_of(instance, key)[:1]  # of UIDs that of the image: a series' boxes are nobody's
    told = said.get(names[0]) if names else None
    if told is None:
        return None
    for box, line in told.boxes.items():
        if box.left < 0 or box.top < 0 or box.right > instance.columns or box.bottom > instance.rows:
            raise LabelError(
                f"line {line}: its box reaches outside the image, which has {instance.columns} × {instance.rows} "
                "pixels (x × y)",
                where=where,
                do="Write pixels of the stored image, not of a resized copy; x and y begin with 0 at the upper left.",
            )
    return tuple(sorted(told.boxes))


def _unmet(index: Index, key: str, said: dict[str, _Said]) -> dict[str, int]:
    here = {name for one in index.accepted for name in names_of(one, key)[:1]}
    refused = {one_form(one.file) for one in index.refused} if key == "file" else set()
    return dict(Counter("refused" if name in refused else "unknown-file" for name in said if name not in here))
