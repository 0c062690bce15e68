"""What a hospital knows of each record besides its images, as the numbers that the study's network is told.

It is read from ``clinical.csv`` beside the hospital's labels, else from the table of labels, else from one image of
each series. What is written stays where it is: the numbers are kept with the prepared images, in the hospital.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.images.attributes import tag
from wardround_client.intake.columns import Columns, read_columns
from wardround_client.intake.instance import Instance
from wardround_client.intake.labels import CLINICAL_FILE, LABELS_FILE, names_of
from wardround_client.preparation.source import Source
from wardround_client.preparation.subgroups import header_of
from wardround_common.errors import CHECK_FILE, LabelError
from wardround_common.study.data import Data
from wardround_common.study.variables import Reading, Variable

Readings = dict[str, dict[Reading, int]]
"""By variable: how many records it was read of in which way."""
WHAT = "clinical variables"
_ORDER: tuple[Reading, ...] = ("known", "missing", "unfit", "contradictory")


@dataclass(frozen=True, eq=False)
class Told:
    """What the network is told of some records besides their images."""

    numbers: NDArray[np.float32] = field(repr=False)
    """(records, numbers) of the variables in the study's order; 0 for all of one that is not known."""
    readings: Readings


def told_of(
    source: Source, variables: Sequence[Variable], files: Sequence[Instance], together: Sequence[Sequence[int]]
) -> Told:
    """Read the variables of each record.

    Args:
        source: where files and tables are.
        variables: what the study asks for.
        files: all images.
        together: (records,) the places of each one's images among them.

    Raises:
        LabelError: a table cannot be read, or does not say of whom its lines are.
    """
    written = _written(source, variables, files)
    return read_all(variables, [[[cell for at in of for cell in cells[at]] for cells in written] for of in together])


def read_all(variables: Sequence[Variable], written: Sequence[Sequence[Sequence[str]]]) -> Told:
    """Read what is written of each variable of each record: (records, variables) lists of cells."""
    counts: list[Counter[Reading]] = [Counter() for _ in variables]
    numbers = np.zeros((len(written), sum(one.width for one in variables)), np.float32)
    for row, record in zip(numbers, written, strict=True):
        at = 0
        for one, cells, count in zip(variables, record, counts, strict=True):
            row[at : at + one.width], how = one.read(cells)
            count[how] += 1
            at += one.width
    named = zip(variables, counts, strict=True)
    return Told(numbers, {one.name: {how: count[how] for how in _ORDER if count[how]} for one, count in named})


def there_of(data: Data, sequences: Sequence[int] | None, together: Sequence[Sequence[int]]) -> Readings:
    """Say of how many records there is an image of each sequence; nothing where the study tells none apart.

    ``sequences``: (files,) the number of each image's; ``together``: (records,) the places of each one's images.
    """
    if sequences is None:
        return {}
    there = [{sequences[place] for place in places} for places in together]
    counts = [sum(number in one for one in there) for number in range(len(data.sequences))]
    found: Readings = {}
    for one, known in zip(data.sequences, counts, strict=True):
        of: dict[Reading, int] = {"known": known, "missing": len(there) - known}
        found[one.role] = {how: number for how, number in of.items() if number}
    return found


def clinical_file(source: Source) -> Path | None:
    """Return the hospital's table of clinical variables, beside its labels; None if it has none.

    Raises:
        LabelError: it is a folder, or nobody may look.
    """
    path = (source.labels.parent if source.labels else source.folder) / CLINICAL_FILE
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabelError(f"the table cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE) from None
    return path


def tables_of(source: Source, variables: Sequence[Variable]) -> list[Columns]:
    """Return the hospital's tables that have columns of these variables: what the first has, the others do not say.

    Raises:
        LabelError: a table cannot be read, or does not say of whom its lines are.
    """
    wanted = {one.written_in for one in variables}
    clinical, labels = clinical_file(source), source.labels
    if labels is None and (beside := source.folder / LABELS_FILE).is_file():
        labels = beside
    found = [read_columns(source.folder, clinical, wanted, keyed=True, what=WHAT)] if clinical else []
    found += [read_columns(source.folder, labels, wanted)] if labels else []
    return [one for one in found if one is not None]


def _written(source: Source, variables: Sequence[Variable], files: Sequence[Instance]) -> list[list[list[str]]]:
    """Return what is written: (variables, files) lists of cells."""
    tables = tables_of(source, variables)
    columns = {name for table in tables for name in table.there}
    attributes: list[str] = [one.attribute for one in variables if one.attribute and one.written_in not in columns]
    tags = {name: tag(name) for name in attributes}
    said: list[list[list[str]]] = [[] for _ in variables]
    seen: set[tuple[str, str]] = set()
    for instance in files:
        series = (instance.patient, instance.series_uid or instance.file)
        header = header_of(source, instance, tags) if series not in seen else {}
        seen.add(series)
        written: dict[str, list[str]] = {}
        for table in reversed(tables):
            written |= table.cells(names_of(instance, table.key))
        for one, cells in zip(variables, said, strict=True):
            cells.append(written.get(one.written_in, [header.get(one.attribute or "", "")]))
    return said


def said_of_readings(readings: Readings, record: str) -> list[str]:
    """Say of each variable of how many records it is known, and what was written of the others."""
    words = {
        "missing": "missing",
        "unfit": "written otherwise than the study says",
        "contradictory": "written in two ways",
    }
    lines = []
    for name, counts in readings.items():
        others = [f"{counts[how]:,} {words[how]}" for how in _ORDER if how in words and counts.get(how)]
        total = sum(counts.values())
        lines.append(
            f"{name}: known of {counts.get('known', 0):,} of {total:,} {record}" + "".join(f", {o}" for o in others)
        )
    return lines
