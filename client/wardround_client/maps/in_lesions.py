"""How much of the maps of a hospital's test images lies in lesions that its masks outline: sums, and no map.

The one part of this room that a hospital's answers are made with (import contract): it returns six numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from wardround_client import networks
from wardround_client.images.hanging import Hanging
from wardround_client.maps import sanity
from wardround_client.maps.contract import Question
from wardround_client.maps.lesions import Lesion, Lesions, lesions_in, measure
from wardround_client.maps.registry import find
from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.outline_form import map_from_form
from wardround_client.training.evaluation import probabilities_of
from wardround_common.counting import count
from wardround_common.errors import LabelError, ModelError, StudyError
from wardround_common.metrics.maps import InLesion, MapSums
from wardround_common.randomness import insecure_stream
from wardround_common.results.map_sums import NOBODY, MapCell
from wardround_common.study.file import Study
from wardround_common.study.steps import Area
from wardround_common.tasks.registry import task_of

MOST_IMAGES = 100
"""Of one hospital that are explained; of more a part is drawn. Integrated gradients ask the network 200 times an image,
and no round waits for a hospital for ever."""


def rehearse(study: Study) -> str:
    """Explain an image of noise by the method that the study names; return what was tried, empty if it names none.

    Raises:
        StudyError: there is no such method, or it cannot be applied to the study's network.
    """
    return _rehearse(study.model_copy(update={"roster": ()}))


@lru_cache(maxsize=32)
def _rehearse(study: Study) -> str:
    asked = study.evaluation.maps
    if asked is None:
        return ""
    name, method = find(asked.method, task_of(study.task))
    form = (1, study.data.inputs, *networks.places_of(study.data), *study.data.extent)
    noise = torch.from_numpy(np.random.default_rng(0).random(form, np.float32))
    network, shown = networks.of_own_image(networks.build(study).eval(), noise)
    try:
        method.explain(Question(network, 0, apart=task_of(study.task).apart), shown)
    except StudyError as error:
        error.what = f"[evaluation] maps, method = '{name}': {error.what}"
        error.do = error.do.replace(" with --method", "")
        raise
    return f"{name} explained an image of noise"


def sums_in_lesions(network: nn.Module, study: Study, dataset: Dataset) -> MapCell:
    """Sum up how much of a network's maps of the test images lies in lesions.

    Nobody, and nothing is explained, where fewer test patients have an outlined lesion than the study's
    ``smallest_subgroup``, or the masks cannot be used. So it is where a map is no finite number: the model's own
    figures are known all the same.
    """
    asked, examples = study.evaluation.maps, dataset.test
    if asked is None:
        return NOBODY
    try:
        lesions = outlined(study, dataset)
    except LabelError:  # the hospital's people read which when they approve
        return NOBODY
    if _patients(examples, lesions) < study.evaluation.smallest_subgroup:
        return NOBODY
    drawn = insecure_stream(0, "maps", dataset.fingerprint).permutation(len(lesions))[:MOST_IMAGES]
    chosen = {place: lesions[place] for place in np.array(sorted(lesions))[np.sort(drawn)].tolist()}
    patients = _patients(examples, chosen)
    if patients < study.evaluation.smallest_subgroup:
        return NOBODY
    try:
        return MapCell(patients, _sums(network.eval(), study, dataset, chosen))
    except (ModelError, StudyError):
        return NOBODY


def outlined(study: Study, dataset: Dataset) -> dict[int, Lesion]:
    """Return what is outlined in the test images, by their places: (rows, columns) each, on the image's own grid.

    Raises:
        LabelError: a table names a mask twice, or one that is not there.
    """
    asked, pictured = study.evaluation.maps, dataset.pictured
    if asked is None or pictured is None:
        return {}
    lesions: Lesions = lesions_in([pictured.folder.resolve()], asked.lesions)
    files = [(pictured.folder / file).resolve() for file in pictured.files]
    by_mask = sorted(
        (place for place, file in enumerate(files) if file in lesions.places),
        key=lambda place: (id(lesions.places[files[place]][0]), lesions.places[files[place]][1]),
    )  # so that each mask is read once
    found = {place: lesion for place in by_mask if (lesion := lesions.of(files[place])) is not None}
    return dict(sorted(found.items()))


def said_of_lesions(study: Study, dataset: Dataset) -> str:
    """Say to the hospital's people, and nobody else, of how many test patients sums over maps would leave."""
    try:
        lesions = outlined(study, dataset)
    except LabelError as error:
        return f"none, since the masks cannot be used ({error.what})"
    patients, least = _patients(dataset.test, lesions), study.evaluation.smallest_subgroup
    if patients < least:
        have = count(patients, "test patient has", "test patients have")
        return f"none, since {have} an outlined lesion, and fewer than {least} are never summed"
    images = count(min(len(lesions), MOST_IMAGES), "image")
    return f"of {images} of up to {count(patients, 'test patient')} with an outlined lesion"


def _patients(examples: Examples, places: Mapping[int, Lesion]) -> int:
    return len(np.unique(examples.patients[list(places)])) if places else 0


def _sums(network: nn.Module, study: Study, dataset: Dataset, lesions: Mapping[int, Lesion]) -> MapSums:
    asked, examples, pictured = study.evaluation.maps, dataset.test, dataset.pictured
    if asked is None or pictured is None:
        return MapSums()
    task = task_of(study.task)
    _, method = find(asked.method, task)
    total = MapSums()
    for place, lesion in lesions.items():
        images = examples.images(np.array([place]))
        of = 1 if study.outputs == 2 and not task.apart else _decided(network, examples, place)
        area = pictured.areas.get(pictured.files[place]) or Area.whole(*lesion.shape)
        own = sanity.maps_of(network, study, method, images, of)
        total += MapSums.of(measured(*own, lesion, area, pictured.hanging[place]))
    return total


def _decided(network: nn.Module, examples: Examples, place: int) -> int:
    """Return the most probable class or finding of an image: what ``explain`` explains without a word."""
    one = Examples(examples.kept, examples.rows[[place]], examples.targets[[place]], examples.patients[[place]])
    return int(probabilities_of(network, one).argmax())


def measured(own: sanity.Map, untrained: sanity.Map, lesion: Lesion, area: Area, hanging: Hanging) -> InLesion:
    """Lay two maps in the form (1, size, size) of a part of an image on all of it, and measure them there."""
    height, width = lesion.shape
    heat, random = (map_from_form(each, area, height, width, hanging)[0] for each in (own, untrained))
    return measure(heat, random, lesion, area)
