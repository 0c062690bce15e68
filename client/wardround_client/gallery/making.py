"""Makes the catalogue of a hospital's gallery: its images with labels, boxes and outlines, and a model's answers.

What is wrong with labels or masks is noted, without the place of a file, and the images are shown without them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wardround_client.gallery.catalogue import About, Entry, Shape, about, add_map, entry, of_patient, write_catalogue
from wardround_client.intake.boxes import COLUMNS, Box, find_boxes
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import BOXES_FILE, LABELS_FILE, Labels, find_labels
from wardround_client.intake.scan_summary import identified
from wardround_client.intake.table import read_text
from wardround_client.masks import Structures, find, named
from wardround_client.masks.find import FOLDER as MASKS
from wardround_client.masks.fullest import fullest
from wardround_client.masks.structures import LEFT_OUT
from wardround_client.preparation.source import Source
from wardround_client.volumes import survey
from wardround_common.counting import count
from wardround_common.errors import DataError, ImageRefused
from wardround_common.study.file import Study
from wardround_common.tasks.detection import Detection

if TYPE_CHECKING:  # a network is loaded where a model is asked, or a study was approved: seconds that a look saves
    from wardround_client.prediction.model import Model

MOST_WORDS = 40
"""Different labels that are shown where no study says which words are classes: more of them are no classes."""
MOST_WORD = 60
"""Characters of a label."""
MASKED = frozenset({"segmentation", "contours"})
ANY = "outlined"
"""The one structure of masks where no study names any."""


@dataclass(frozen=True, eq=False)
class _Said:
    """What the hospital says of its images."""

    index: Index
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict, repr=False)
    outlines: Mapping[str, tuple[int | None, Shape]] = field(default_factory=dict, repr=False)
    """By file: which slice of it, of a file with several, and its classes (rows, columns)."""
    truths: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By file, the word by which a task tells what is right."""
    aside: frozenset[str] = frozenset()
    """Files that a task takes for masks."""
    notes: tuple[str, ...] = ()


def make(
    source: Source,
    studies: Sequence[Study],
    model: Model | None = None,
    explained: int = 12,
    tell: Callable[[int, int], None] = lambda done, of: None,
    place: str = "",
) -> About:
    """Make the catalogue anew.

    Args:
        source: the hospital's images and labels.
        studies: by whose words labels are read, the first that fits.
        model: a released model that is asked about all of the images.
        explained: of how many of its worst errors maps are drawn.
        tell: is called with how many images were asked about, and how many there are.
        place: the model's folder, from which maps of more images can be drawn later.

    Raises:
        DataError: the folder cannot be read, or nothing of it is an image.
        StorageError: the catalogue cannot be written.
        StudyError: nobody can be asked by this model's task.
    """
    said = _said(source, [model.study] if model else studies)
    patients = {patient: at for at, patient in enumerate(dict.fromkeys(one.patient for one in said.index.accepted), 1)}
    entries = [_entry(number, one, patients, said) for number, one in enumerate(said.index.accepted, 1)]
    measure, notes = "", said.notes
    if model is not None:
        from wardround_client.gallery.answering import Truth, answers_of

        truths = {
            one.file: Truth(said.truths.get(one.file, ""), *said.outlines.get(one.file, ()))
            for one in said.index.accepted
        }
        found = answers_of(model, source, said.index, truths, explained, tell)
        entries = [replace(one, **found.of.get(one.file, {})) for one in entries]
        measure, notes = found.measure, (*said.notes, *found.notes)
    made = About(
        made=datetime.now(UTC).isoformat(timespec="minutes"),
        images=len(entries),
        patients=len(patients),
        labelled=sum(bool(one.label) for one in entries),
        outlined=sum(bool(one.boxes) or one.outline is not None for one in entries),
        refused=len(said.index.refused),
        notes=notes,
        model=model.card.name if model else "",
        digest=_digest_of(model) if model else "",
        asked=sum(bool(one.answer) for one in entries),
        judged=sum(one.error is not None for one in entries),
        explained=sum(bool(one.why) for one in entries),
        measure=measure,
        folder=place if model else "",
    )
    write_catalogue(source.state, made, entries)
    return made


def explain_image(source: Source, model: Model, number: int) -> str:
    """Put the map of one image of the gallery into it, by the model that the gallery was made with; return its words.

    Raises:
        DataError: there is no such image, the gallery is of another model, or the image cannot be explained.
        StorageError: the catalogue cannot be read or written.
    """
    from wardround_client.gallery.answering import Truth, answers_of

    found, one = about(source.state), entry(source.state, number)
    if found is None or one is None:
        raise DataError(f"the gallery has no image {number:,}", do="Its numbers stand on the hospital's pages.")
    if found.digest != _digest_of(model):
        raise DataError("the gallery was made with another model", do="Have it made again with this one.")
    index = _said(source, [model.study]).index
    theirs = {each.file for each in of_patient(source.state, one.patient)}  # a slice alone is no series
    index = replace(index, accepted=tuple(each for each in index.accepted if each.file in theirs))
    answers = answers_of(model, source, index, {file: Truth("") for file in theirs}, 1, _silent, only=one.file)
    drawn = answers.of.get(one.file, {})
    if not drawn.get("why"):
        why = next((note for note in answers.notes if note.startswith("No map")), "The model takes no such image.")
        raise DataError("no map of this image could be drawn", do=why)
    add_map(source.state, replace(one, why=drawn["why"], why_said=drawn["why_said"]))
    return str(drawn["why_said"])


def _silent(done: int, of: int) -> None:
    """Tell nobody how many images were asked about."""


def _digest_of(model: Model) -> str:
    return next(iter(model.card.files.values()), "")[:12]


def _entry(number: int, one: Instance, patients: Mapping[str, int], said: _Said) -> Entry:
    at, outline = said.outlines.get(one.file, (None, None))
    boxes = tuple((box.top, box.left, box.bottom, box.right) for box in said.boxes.get(one.file, ()))
    return Entry(number, one.file, patients[one.patient], said.labels.get(one.file, "")[:MOST_WORD], at, boxes, outline)


def _said(source: Source, studies: Sequence[Study]) -> _Said:
    notes: list[str] = []
    said, study = None, None
    for each in studies:
        from wardround_client.preparation.dataset import take_in

        try:
            index, found = take_in(source, each)
        except ImageRefused:
            raise
        except DataError as error:
            notes.append(f"Not in the words of {each.study.name}: {error.what}.")
            continue
        study, said = each, _Said(index, _labels_of(each, found.words), truths=found.words, aside=found.aside)
        break
    if said is None:
        said = _without_a_study(source, notes)
    boxes = _boxes(source, said.index, study, notes)
    masks = said.aside | {one.file for one in said.index.refused if one.reason in MASKED}
    outlines = _outlines(source.folder, said.index, masks, study, notes)
    return replace(said, boxes=boxes, outlines=outlines, notes=tuple(notes))


def _without_a_study(source: Source, notes: list[str]) -> _Said:
    index = scan(source.folder, state=source.state, allow=source.allow)
    if not index.accepted:
        how_many = index.all_refused if index.refused else "the folder holds no files"
        raise DataError(how_many, do="'wardround scan FOLDER' says why.")
    labels: Labels | None = None
    table = source.labels or (source.folder / LABELS_FILE)
    if source.label_attribute is not None:
        notes.append("Labels come from an attribute, and no study that was approved says which words are classes.")
    elif table.is_file():
        try:
            labels = find_labels(source.folder, index, None, csv=table)
        except DataError as error:
            notes.append(f"No labels are shown: {error.what}.")
    index, labels = identified(index, labels, (), source.confirmed)
    words = labels.words if labels else {}
    if len(set(words.values())) > MOST_WORDS:
        notes.append(
            f"Labels are not shown: there are {len(set(words.values())):,} different ones, which are no classes."
        )
        words = {}
    return _Said(index, words)


def _labels_of(study: Study, words: Mapping[str, str]) -> dict[str, str]:
    """Write what a task says of each file for people; nothing where a mask or a box says it."""
    groups = study.groups
    match study.task.name:
        case "findings":
            return {
                file: ", ".join(group for group, there in zip(groups, word.split(), strict=True) if there == "1")
                or "none of the findings"
                for file, word in words.items()
            }
        case "measurement":
            unit = getattr(study.task, "unit", "")
            return {file: f"{float(word):g} {unit}".strip() for file, word in words.items()}
    return {file: word for file, word in words.items() if word in groups}


def _boxes(source: Source, index: Index, study: Study | None, notes: list[str]) -> Mapping[str, tuple[Box, ...]]:
    of_boxes = study is not None and study.task.name == "detection"
    if study is not None and isinstance(study.task, Detection) and study.task.boxes == "reports":
        from wardround_client.tasks.detection import boxes_of

        try:
            return boxes_of(source, index, study).of
        except DataError as error:
            notes.append(f"Boxes are not shown: {error.what}.")
            return {}
    table = source.labels if of_boxes and source.labels else source.folder / BOXES_FILE
    if not table.is_file():
        return {}
    try:
        classes = study.groups if study is not None and of_boxes else _classes(table)
        return find_boxes(source.folder, index, classes, csv=table).of
    except DataError as error:
        notes.append(f"Boxes are not shown: {error.what}.")
        return {}


def _classes(table: Path) -> tuple[str, ...]:
    """Return the words of a table's column ``class``, which no study told yet."""
    rows = csv.DictReader(read_text(table, "").splitlines())
    columns = {(name or "").strip().casefold(): name for name in rows.fieldnames or ()}
    if not columns.keys() >= set(COLUMNS):
        return (ANY,)
    words = dict.fromkeys((row[columns["class"]] or "").strip() for row in rows)
    return tuple(word for word in words if word)[:MOST_WORDS] or (ANY,)


def _outlines(
    folder: Path, index: Index, masks: Collection[str], study: Study | None, notes: list[str]
) -> dict[str, tuple[int | None, Shape]]:
    """Lay masks on the images that they outline; of a file with several slices, on the one with most in it."""
    dense = study is not None and study.task.name == "segmentation"
    if not (masks or (folder / MASKS).is_dir()):
        return {}
    structures = Structures((ANY,), {"*": ANY} if not dense else {"*": LEFT_OUT})
    if study is not None and dense:
        structures = Structures(study.groups)
    try:
        beside = named(folder)
        seen = survey(folder / file for file in (*(one.file for one in index.accepted), *sorted(masks)))
        found = find(seen.series, seen.outlines, structures, beside=beside)
    except DataError as error:
        notes.append(f"Outlines are not shown: {error.what}.")
        return {}
    laid: dict[str, tuple[int | None, Shape]] = {}
    for series in seen.series:
        mask = found.masks.get(series.uid)
        if mask is None:
            continue
        try:
            volume = np.asarray(mask.volume())
        except ImageRefused:
            continue
        if series.stored == "single-frame":
            for at, one in enumerate(series.slices):
                if volume[at].any():
                    laid[_below(folder, one.file)] = (None, volume[at].astype(np.uint8))
        elif volume.any():
            at = fullest(volume)
            laid[_below(folder, series.slices[0].file)] = (at, volume[at].astype(np.uint8))
    if unmet := len(found.unmet):
        masks = count(unmet, "mask outlines", "masks outline")
        notes.append(f"{masks} none of these images: 'wardround scan FOLDER --study FILE' says why.")
    return laid


def _below(folder: Path, file: Path) -> str:
    for base in (folder, folder.resolve()):
        if file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return str(file)
