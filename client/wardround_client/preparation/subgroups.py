"""In which subgroup each of a hospital's test patients is, so that no subgroup is small once sums of it leave.

What is written of a patient is read where the study asks for it, from the hospital's table if that has the column, else
from one image of each series, and is kept nowhere: what stays in memory is a number for each patient. Only
:func:`merged` numbers are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import BaseTag

from wardround_client.images.attributes import tag, text
from wardround_client.intake.columns import find_columns
from wardround_client.intake.instance import Instance
from wardround_client.preparation.few_patients import shows_few
from wardround_client.preparation.headers import read_header
from wardround_client.preparation.source import Source
from wardround_common.study.evaluation import Evaluation
from wardround_common.study.subgroups import Subgroups

Codes = NDArray[np.int64]
WITHHELD = -1
_IN_HEADER = {"age": tag("PatientAge"), "sex": tag("PatientSex")}


def subgroups_of(source: Source, evaluation: Evaluation, files: Sequence[Instance], key: str) -> tuple[Codes, ...]:
    """Return the subgroup of each test patient, (patients,) for each of the study's subgroups, safe to be summed by.

    Args:
        source: where the files and the table are.
        evaluation: what the study asks for.
        files: those of the test patients; patients in the order of their names.
        key: what the choice is drawn from of patients who fill up a small subgroup; secret, and the same each time.

    Raises:
        LabelError: the hospital's table cannot be read.
    """
    if not evaluation.subgroups:
        return ()
    raw = [
        _codes(one, written)
        for one, written in zip(evaluation.subgroups, _written(source, evaluation, files), strict=True)
    ]
    seed = int.from_bytes(hashlib.sha256(b"wardround subgroups\0" + key.encode()).digest()[:16])
    return safe(raw, [len(one.cells) for one in evaluation.subgroups], evaluation.smallest_subgroup, seed)


def _codes(one: Subgroups, written: dict[str, list[str]]) -> Codes:
    return np.array([one.cell_of(written[patient]) for patient in sorted(written)], np.int64)


def _written(source: Source, evaluation: Evaluation, files: Sequence[Instance]) -> list[dict[str, list[str]]]:
    """Return what is written of each patient, for each of the study's subgroups."""
    wanted = {one.column or one.by for one in evaluation.subgroups if one.by not in ("manufacturer", "model")}
    table = find_columns(source.folder, source.labels, files, wanted)
    wanted_tags = _IN_HEADER.keys() & {one.by for one in evaluation.subgroups} - table.keys()
    headers = {name: _IN_HEADER[name] for name in sorted(wanted_tags)}
    found: list[dict[str, list[str]]] = [{one.patient: [] for one in files} for _ in evaluation.subgroups]
    seen: set[tuple[str, str]] = set()
    for instance in files:
        series = (instance.patient, instance.series_uid or instance.file)
        read = header_of(source, instance, headers) if series not in seen else {}
        seen.add(series)
        for one, said in zip(evaluation.subgroups, found, strict=True):
            if one.by in ("manufacturer", "model"):
                values = [instance.manufacturer if one.by == "manufacturer" else instance.scanner]
            else:
                name = one.column or one.by
                values = table[name][instance.file] if name in table else [read.get(name, "")]
            said[instance.patient] += values
    return found


def header_of(source: Source, instance: Instance, tags: Mapping[str, BaseTag]) -> dict[str, str]:
    """Read some attributes of a file, by their names here; none of what is no DICOM, or cannot be read any more."""
    if instance.plain or not tags:
        return {}
    read = read_header(source, instance, lambda header: {n: text(header, of) for n, of in tags.items()}, tags.values())
    return read or {}


def safe(raw: Sequence[Codes], cells: Sequence[int], least: int, seed: int) -> tuple[Codes, ...]:
    """Merge small subgroups, and withhold a whole way of telling apart that would give one away beside earlier ones.

    ``raw``: (patients,) each; ``cells``: how many subgroups each has, of which the last but one is "other".
    """
    rng = np.random.default_rng(seed)
    kept: list[Codes] = []
    for codes, count in zip(raw, cells, strict=True):
        made = merged(codes, count - 2, least, rng)
        told = [one for one in (*kept, made) if WITHHELD not in one]
        kept.append(np.full_like(made, WITHHELD) if WITHHELD in made or shows_few(told, least) else made)
    return tuple(kept)


def merged(codes: Codes, other: int, least: int, rng: np.random.Generator) -> Codes:
    """Put subgroups of fewer than ``least`` patients into "other", and fill that up until it is no smaller.

    All patients together are known, so that what is told of every subgroup but one tells of that one, too: were a
    single small subgroup left out, or stood "other" for it alone, its sums would follow. So "other" has ``least``
    patients or none. It is filled up by patients drawn from the largest subgroup, if that can spare them, else by
    the smallest one as a whole. With fewer than ``least`` patients in all, nothing is told: each is ``WITHHELD``.
    """
    made = codes.copy()
    if len(made) < least:
        return np.full_like(made, WITHHELD)
    for cell in np.unique(codes).tolist():
        if (codes == cell).sum() < least:
            made[made == cell] = other
    while 0 < (lacking := least - int((made == other).sum())) < least:
        named, counts = np.unique(made[made != other], return_counts=True)
        if counts.max() >= least + lacking:
            largest = np.flatnonzero(made == named[counts.argmax()])
            made[rng.choice(largest, lacking, replace=False)] = other
        else:
            made[made == named[counts.argmin()]] = other
    return made


def said_of_cells(one: Subgroups, codes: Codes) -> str:
    """Say of how many patients sums leave in each subgroup."""
    counts = [(name, int((codes == cell).sum())) for cell, name in enumerate(one.cells)]
    said = ", ".join(f"{name} {count}" for name, count in counts if count)
    return said or "none, since too few patients would be in one, or in the difference of two"
