"""Why a model answers a case as it does: a map laid on the image, and how far it is to be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.explanation.overlay import drawn
from wardround_client.images.hanging import AS_STORED, Turn
from wardround_client.images.picture import Shades, greys
from wardround_client.intake.scan_report import displayed
from wardround_client.maps import sanity
from wardround_client.maps.contract import Method
from wardround_client.maps.lesions import Lesion, Lesions, measure, peak
from wardround_client.prediction.model import Model
from wardround_client.prediction.nifti_mask import nifti_of
from wardround_client.prediction.predicting import Done, NotDone, ask
from wardround_client.prediction.written import stem_of
from wardround_client.preparation import preprocessing
from wardround_client.tasks.contract import Case
from wardround_client.tasks.outline_form import map_from_form
from wardround_client.volumes import Refused
from wardround_common.errors import ImageRefused, StudyError
from wardround_common.metrics.maps import InLesion
from wardround_common.study.steps import Area
from wardround_common.tasks.registry import task_of

DIGITS = 4
"""Of a figure that is written down."""
UNDECIDED = 0.5
"""From this uncertainty on a voxel counts as undecided."""
Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explained:
    """What a model says of a case, and why."""

    done: Done
    facts: dict[str, Any]
    """As JSON: what is known of the map; what was answered is not repeated."""
    picture: Shades = field(repr=False)
    """(rows, columns, 3): the map over the image, or over the slice in which there is most of it."""
    slice: int = 0
    """Which slice that is, of an examination."""
    turn: Turn = AS_STORED
    """What brought the stored image to the way round that the picture has."""
    more: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Other files, by what follows the name of the case."""
    in_lesion: InLesion | None = field(default=None, repr=False)
    similarity: float | None = None
    """Of the map to that of a network with random weights."""


@dataclass(frozen=True, eq=False)
class Asked:
    """With which method a model is explained, and as to what."""

    name: str
    method: Method
    of: int | None = None
    """The number of the class; None for the finding of two classes, and the class that was decided for of more."""
    lesions: Lesions = field(default_factory=Lesions, repr=False)


def class_number(model: Model, word: str | None) -> int | None:
    """Return the number of the class that is to be explained, by the study's word for it.

    Raises:
        StudyError: the study has no such class, or tells no classes.
    """
    if model.study.data.gathered:
        raise StudyError(
            f"this model tells something of a {model.study.data.record}, and maps are of single images",
            do="" if model.study.ordered else "'wardround predict MODEL FOLDER' tells how much each image weighed.",
        )
    if task_of(model.study.task).generates:
        raise StudyError(
            "this model makes images and answers nothing", do="Draw from it with 'wardround generate MODEL --out DIR'."
        )
    if task_of(model.study.task).numeric:
        raise StudyError(
            "this model tells a number, and maps are of classes or outlines",
            do="Explain a classification of who lies above a value.",
        )
    if task_of(model.study.task).horizons(model.study.task):
        raise StudyError(
            "this model tells a risk by several times, and maps are of classes or outlines",
            do="Explain a classification of who has the event by one of the times.",
        )
    if not task_of(model.study.task).dense and model.study.outputs != len(model.study.groups):
        raise StudyError(
            "this model tells steps between ordered grades, and maps are of classes or outlines",
            do="Explain a classification of who has a grade or a higher one.",
        )
    if word is None:
        return None
    words = model.study.groups
    if model.study.outputs != len(words):  # structures: there is a background besides
        raise StudyError("this model outlines structures: no class of an image can be explained", do="Leave out --of.")
    if word not in words:
        one, many = task_of(model.study.task).group_words
        raise StudyError(f"the model has no {one} '{word}'", do=f"Its {many}: {', '.join(words)}.")
    return words.index(word)


def explain(model: Model, asked: Asked, case: Case | Refused) -> Explained | NotDone:
    """Ask a model about a case, and draw why it answers so.

    Raises:
        StudyError: the method cannot be applied to the study's network.
        ModelError: an output, or the map, is not a finite number.
    """
    (done,) = ask(model, [case], 1)
    if isinstance(done, NotDone):
        return done
    try:
        return _outlines(model, asked, done) if asked.method.dense else _image(model, asked, done)
    except ImageRefused as refused:  # it changed since it was read
        return NotDone(done.case.name, refused.reason, refused.what, refused.do)


def _image(model: Model, asked: Asked, done: Done) -> Explained:
    shown = displayed(done.case.files[0])
    image = shown.pixels
    height, width = image.shape[-2:]
    of = asked.of
    if of is None:
        of = _decided(model, done.answer.facts)
    own, random = _maps(model, asked, done, of)
    area = done.asked.area or Area.whole(height, width)
    place = preprocessing.Place.of(*area.shape, own.shape[-1], shown.hanging)
    similarity = sanity.similarity(*(place.inside(each[0]) for each in (own, random)))  # padding is alike in any map
    heat, of_random = (map_from_form(each, area, height, width, shown.hanging)[0] for each in (own, random))
    lesion = asked.lesions.of(done.case.files[0])
    lesion = lesion if lesion is not None and lesion.shape == heat.shape else None
    found = None if lesion is None else measure(heat, of_random, lesion, area)
    most = peak(heat)
    facts: dict[str, Any] = {
        "method": asked.name,
        "explained": model.study.groups[of],
        "peak": None if most is None else {"row": most[0], "column": most[1]},
        **_sane(similarity),
    }
    if found is not None:
        facts["lesion"] = {
            "hit": found.hit,
            "mass_in_lesion": round(found.mass, DIGITS),
            "random": round(found.area, DIGITS),
            "untrained": round(found.untrained, DIGITS),
        }
    picture = drawn(image, heat, lesion, shown.hanging)
    return Explained(done, facts, picture, turn=shown.hanging.turn, in_lesion=found, similarity=similarity)


def _decided(model: Model, facts: Mapping[str, Any]) -> int:
    """Return the number of what is explained without a word: the finding, the class, the likeliest of findings."""
    if "findings" in facts:
        found = facts["findings"]
        return model.study.groups.index(max(found, key=lambda word: float(found[word]["probability"])))
    return 1 if model.study.outputs == 2 else model.study.groups.index(facts["class"])


def _outlines(model: Model, asked: Asked, done: Done) -> Explained:
    lay = done.asked.lay
    if lay is None:
        raise StudyError(
            f"the task '{model.study.task.name}' does not say where its outputs lie on the images",
            do="Give what it prepares a 'lay' (client/…/tasks/contract.py).",
        )
    own, random = _maps(model, asked, done, 0)
    similarity, heat, series = sanity.similarity(own, random), lay(own), done.case.series[0]
    at = int(heat.sum(axis=(1, 2)).argmax())
    undecided = heat >= UNDECIDED
    facts = {
        "method": asked.name,
        "undecided_ml": round(float(undecided.sum()) * series.geometry.voxel_ml, DIGITS),
        "undecided_slice": at + 1,
        **_sane(similarity),
    }
    outline = done.answer.outline
    drawn_edge: Lesion | None = None if outline is None else outline[at] > 0
    hanging = series.geometry.hanging
    picture = drawn(greys(series.slice(at))[None].astype(np.float32), heat[at], drawn_edge, hanging, full=1.0)
    more = {".uncertainty.nii.gz": nifti_of(np.rint(heat * 100).astype(np.uint8), series)}
    return Explained(done, facts, picture, slice=at, turn=hanging.turn, more=more, similarity=similarity)


def _maps(model: Model, asked: Asked, done: Done, of: int) -> tuple[sanity.Map, sanity.Map]:
    return sanity.maps_of(model.network, model.study, asked.method, done.asked.images, of, done.asked.window)


def _sane(similarity: float | None) -> dict[str, Any]:
    return {"similarity_to_untrained": None if similarity is None else round(similarity, DIGITS)}


def stem(one: Explained) -> str:
    """Return the name of a case's files, without what follows it."""
    return stem_of(one.done)
