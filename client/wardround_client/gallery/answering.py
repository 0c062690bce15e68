"""What a released model says of a hospital's own images, how far that is from what the hospital says, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from wardround_client.explanation.explaining import Asked, class_number, explain
from wardround_client.gallery.catalogue import Shape
from wardround_client.images.picture import png_of
from wardround_client.intake.instance import Index
from wardround_client.intake.labels import ROLES_FILE
from wardround_client.maps import sanity
from wardround_client.maps.registry import WITHOUT_GRADIENT, find
from wardround_client.masks.fullest import fullest
from wardround_client.prediction.model import Model
from wardround_client.prediction.predicting import TOGETHER, Done, NotDone, ask, asking_of, name_of
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Case, cautions_of
from wardround_client.volumes import Refused
from wardround_common.counting import count
from wardround_common.errors import LabelError, StudyError
from wardround_common.tasks.registry import task_of

WHY_PIXELS = 320
"""Of the longer side of a map's picture."""
MOST_WHY = 200
"""Characters of what is said of a map."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What the hospital says of an image."""

    word: str = field(repr=False)
    slice: int | None = None
    """Of a file with several, the one that is outlined here."""
    outline: Shape | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Answers:
    """What became of all cases."""

    of: Mapping[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """By file: the values of the entry of a catalogue that are known now."""
    measure: str = ""
    notes: tuple[str, ...] = ()


def answers_of(
    model: Model,
    source: Source,
    index: Index,
    truths: Mapping[str, Truth],
    explained: int,
    tell: Callable[[int, int], None],
    only: str | None = None,
) -> Answers:
    """Ask a model about all accepted images, and explain its worst errors; without one, its first answers.

    ``only``: the one file that is explained.

    Raises:
        StudyError: the model's task says nothing of new images.
        ModelError: an output is not a finite number.
    """
    folder, files = source.folder.resolve(), [one.file for one in index.accepted]
    names = {folder / file: file for file in files} | {(folder / file).resolve(): file for file in files}
    notes: list[str] = []
    cases = _cases(model, source, index, [folder / file for file in files], notes)
    of: dict[str, dict[str, Any]] = {}
    by_file: dict[str, Case] = {}
    refused = 0
    for number, one in enumerate(ask(model, cases, TOGETHER), 1):
        tell(number, len(cases))
        if isinstance(one, NotDone):
            refused += 1
            continue
        for file, found in _of_case(model, one, names, truths):
            of[file] = found
            if "error" in found or file not in by_file:
                by_file[file] = one.case
    ranked = sorted((file for file in of if of[file].get("error") is not None), key=lambda file: -of[file]["error"])
    if refused:
        notes.append(f"{count(refused, 'image was', 'images were')} not asked about: the model takes none such.")
    shown = list(dict.fromkeys(ranked + list(of))) if only is None else [only]
    notes += _explain(model, shown, by_file, of, explained)
    return Answers(of, _measure(model) if ranked else "", tuple(notes))


def _cases(model: Model, source: Source, index: Index, files: Sequence[Path], notes: list[str]) -> list[Case | Refused]:
    """Return what is asked about, with what the hospital's tables say of it; a table that cannot be read is noted."""
    roles, own = source.folder.resolve() / ROLES_FILE, asking_of(model).cases

    def found(paths: Sequence[Path], told: Source | None) -> list[Case | Refused]:
        if own is not None:
            series = task_of(model.study.task).takes_series(model.study.task)  # told apart as in training
            return [*own(paths, model.study, frozenset() if series else source.allow)]
        return [*cases_of(paths, model.study, source.allow, source=told, index=index)]

    try:
        there = found([*files, roles] if roles.is_file() else files, source)
    except LabelError as error:
        notes.append(f"The model is told nothing of the hospital's tables: {error.what}.")
        there = found(files, None)
    return [one for one in there if name_of(one) != str(roles)]


def _of_case(
    model: Model, done: Done, names: Mapping[Path, str], truths: Mapping[str, Truth]
) -> Iterator[tuple[str, dict[str, Any]]]:
    said = "; ".join([asking_of(model).said(done.answer.facts), *cautions_of(done.asked.about | done.answer.facts)])
    outline = done.answer.outline
    if outline is None:
        files = [names[path] for path in done.case.files if path in names]
        for at, file in enumerate(files):
            error = error_of(model, done.answer.facts, truths[file].word) if at == 0 else None
            yield file, {"answer": said} | ({} if error is None else {"error": error})
        return
    series = done.case.series[0]
    if series.stored != "single-frame":
        path = series.slices[0].file
        if path in names:
            truth = truths[names[path]]
            at = fullest(outline) if truth.slice is None else truth.slice  # the one on which the hospital's lies
            plane = outline[at]
            yield names[path], {"answer": said, "answered": plane, "slice": at, **_differing(plane, truth.outline)}
        return
    for at, one in enumerate(series.slices):
        if one.file in names:
            name = names[one.file]
            yield name, {"answer": said, "answered": outline[at], **_differing(outline[at], truths[name].outline)}


def _differing(answered: Shape, truth: Shape | None) -> dict[str, float]:
    """Count the pixels that differ; without an outline of the hospital nobody knows what is right."""
    if truth is None or truth.shape != answered.shape:
        return {}
    return {"error": float(np.count_nonzero(answered != truth))}


def error_of(model: Model, facts: Mapping[str, Any], word: str) -> float | None:
    """Return how far an answer is from what the hospital says, in the task's measure; None where that is not known."""
    if not word:
        return None
    if "probabilities" in facts:
        probabilities = facts["probabilities"]
        return round(1 - float(probabilities[word]), 6) if word in probabilities else None
    if "findings" in facts:
        known = [
            abs(float(facts["findings"][group]["probability"]) - int(there))
            for group, there in zip(model.study.groups, word.split(), strict=True)
            if there in ("0", "1")
        ]
        return round(max(known), 6) if known else None
    if "measurement" in facts:
        return abs(float(facts["value"]) - float(word))
    return None


def _measure(model: Model) -> str:
    task = task_of(model.study.task)
    if task.dense:
        return "pixels in which the model's outline and the hospital's differ"
    if task.numeric:
        return f"difference between answer and label, in {getattr(model.study.task, 'unit', 'its unit')}"
    if model.study.task.name == "findings":
        return "largest distance of a finding's probability from what the label says, 0 to 1"
    return "1 less the probability of the class that the label says, 0 to 1"


def _explain(
    model: Model, files: list[str], cases: Mapping[str, Case | Refused], of: dict[str, dict[str, Any]], most: int
) -> list[str]:
    """Draw maps of the first of these files; say why there are none where the model allows none."""
    if most < 1:
        return []
    task = task_of(model.study.task)
    try:
        ways = [
            Asked(*find(name, task), class_number(model, None))
            for name in ((None,) if task.dense else (None, WITHOUT_GRADIENT))
        ]
    except StudyError as error:
        return [f"No map is drawn: {error.what}."]
    similar: list[float] = []
    drawn: set[int] = set()
    for file in islice((file for file in files if file in cases), most * 4):
        case = cases[file]
        if len(drawn) >= most or id(case) in drawn:
            continue
        try:
            found = explain(model, ways[0], case)
        except StudyError as error:  # fixed features pass no gradient back to the image
            if len(ways) == 1:
                return [f"No map is drawn: {error.what}."]
            ways = ways[1:]
            found = explain(model, ways[0], case)
        if isinstance(found, NotDone):
            continue
        drawn.add(id(case))
        picture = Pillow.fromarray(found.picture)
        picture.thumbnail((WHY_PIXELS, WHY_PIXELS))
        what = found.facts.get("explained")
        alike = (
            "" if found.similarity is None else f"; similarity to a network with random weights {found.similarity:.2f}"
        )
        said = f"{ways[0].name}, {f'of {what}' if what else f'slice {found.slice + 1}'}{alike}"
        of[file] |= {"why": png_of(picture), "why_said": said[:MOST_WHY]}
        if found.similarity is not None:
            similar.append(found.similarity)
    return [sanity.said(float(np.mean(similar)))] if similar else []
