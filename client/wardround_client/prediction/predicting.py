"""A model is asked about one case after the other, several at a time where they are small; what fails is one case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from wardround_client.networks import weighing
from wardround_client.prediction.model import Model
from wardround_client.tasks.contract import Answer, Asked, Asking, Case, Chosen
from wardround_client.tasks.registry import local_task
from wardround_client.tasks.windows import outline
from wardround_client.training.devices import enough_memory
from wardround_client.training.features import in_short, watching
from wardround_client.training.threads import use_threads
from wardround_client.volumes import Refused
from wardround_common.errors import ImageRefused, ModelError, StudyError
from wardround_common.metrics.unlike import Floats
from wardround_common.results.unlike import Unlike
from wardround_common.study.file import Study
from wardround_common.study.words.phrases import asked_about
from wardround_common.tasks.registry import task_of

TOGETHER = 64
"""Images that the network is asked about in one pass."""
WEIGHT_DIGITS = 6
"""Of what an image weighs in a record."""
DIGITS = 3
"""Of a distance that is written down."""
MOST_NUMBERS = 2**24
"""Of the outputs for each pixel that are held at a time: 64 MB."""


@dataclass(frozen=True, eq=False)
class Done:
    """What a model says of a case."""

    case: Case = field(repr=False)
    asked: Asked = field(repr=False)
    answer: Answer


@dataclass(frozen=True)
class NotDone:
    """Why a model was not asked about a case."""

    name: str = field(repr=False)
    reason: str
    why: str
    do: str


def asking_of(model: Model) -> Asking[Any]:
    """Return how the study's task is asked about new images.

    Raises:
        StudyError: it says nothing of that.
    """
    local = local_task(model.study.task)
    if local.task.generates:
        raise StudyError(
            "this model makes images and answers nothing", do="Draw from it with 'wardround generate MODEL --out DIR'."
        )
    if local.asking is None:
        raise StudyError(
            f"the task '{model.study.task.name}' does not say what its outputs mean for a new image",
            do="Give its LocalTask an 'asking' (client/…/tasks/contract.py).",
        )
    return local.asking


def ask(model: Model, cases: Iterable[Case | Refused], together: int = TOGETHER) -> Iterator[Done | NotDone]:
    """Ask a model about cases in their order; up to ``together`` images are read ahead, and asked about in one pass.

    Raises:
        StudyError: the study's task says nothing of new images.
        ModelError: an output is not a finite number.
    """
    asking, study = asking_of(model), model.study
    own = model.calibration
    chosen = Chosen(model.card.point, model.card.temperature)
    if own is not None:
        chosen = Chosen(own.point, None, own.recalibration)
    use_threads(study)
    waiting: list[tuple[Case, Asked]] = []

    def answered() -> Iterator[Done]:
        for (case, asked), (outputs, more) in zip(
            waiting, _outputs(model, [asked for _, asked in waiting], together), strict=True
        ):
            answer = asking.answer(study.task, outputs, asked, case, chosen)
            if "weights" in more:  # what is drawn and referred to is the image that weighs most
                first = max(asked.members, key=lambda member: more["weights"][member])
                case = replace(case, files=tuple(sorted(case.files, key=lambda path: str(path) != first)))
            yield Done(case, asked, replace(answer, facts=answer.facts | more))
        waiting.clear()

    for case in cases:
        if isinstance(case, Refused):
            yield from answered()
            yield NotDone(name_of(case), case.reason, case.what, case.do)
            continue
        try:
            asked = case.prepare()
        except ImageRefused as refused:
            yield from answered()  # in the order in which they were asked about
            yield NotDone(case.name, refused.reason, refused.what, refused.do)
            continue
        if waiting and waiting[0][1].images.shape[1:] != asked.images.shape[1:]:
            yield from answered()
        waiting.append((case, asked))
        if asked.back is not None or sum(len(one.images) for _, one in waiting) >= together:
            yield from answered()
    yield from answered()


def name_of(case: Case | Refused) -> str:
    """Return the name under which what became of a case is kept."""
    return case.name if isinstance(case, Case) else case.uid or str(min(case.files))


@torch.no_grad()
def _outputs(model: Model, asked: list[Asked], together: int) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """Return the outputs on the CPU for each of several cases whose images are of one size, and what more is known.

    That is how unlike the training each case is, and how much each image of a record of several weighed.
    """
    if not asked:
        return
    device = next(model.network.parameters()).device
    images = np.concatenate([one.images for one in asked]) if len(asked) > 1 else asked[0].images
    window = asked[0].window
    step, dense = together, task_of(model.study.task).dense
    if dense:
        step = max(1, min(together, MOST_NUMBERS // (model.study.outputs * int(np.prod(images.shape[2:])))))
    parts = []
    watched = watching(model.network) if model.unlike else nullcontext(None)
    with enough_memory(), watched as seen, weighing(model.network) as weights:
        for first in range(0, len(images), step):
            some = torch.from_numpy(images[first : first + step]).to(device)
            parts.append((model.network(some) if window is None else outline(model.network, some, window)).cpu())
    features = seen.take() if seen else None
    whole, first = torch.cat(parts), 0
    for one in asked:
        own = slice(first, first + len(one.images))
        more: dict[str, Any] = {}
        if one.members and weights:  # a network that reads images in order weighs none
            weighed = torch.cat(weights)[first, list(one.places or range(len(one.members)))].tolist()
            more = {
                "weights": {name: round(each, WEIGHT_DIGITS) for name, each in zip(one.members, weighed, strict=True)}
            }
        if features is None or model.unlike is None:
            yield whole[own], more
        else:  # a case that has a way back is asked about by itself, and all passes are of it
            mean = (features if one.back is not None else features[own]).mean(axis=0, keepdims=True)
            yield whole[own], more | likeness_of(model.unlike, in_short(mean, model.study.model.seed), model.study)
        first += len(one.images)


def likeness_of(unlike: Unlike, features: Floats, study: Study) -> dict[str, Any]:
    """Say how unlike those of the training the features (1, FEATURES) of a case are: ``unlike``, as JSON.

    Raises:
        ModelError: they are no finite numbers.
    """
    if unlike.threshold is None:
        return {}
    if not np.isfinite(features).all():
        raise ModelError("the model's features are not finite", do="Its training diverged: do not use it.")
    distance = float(unlike.usual.distances(features)[0])
    flagged = distance >= unlike.threshold
    return {
        "unlike": {
            "distance": round(distance, DIGITS),
            "threshold": unlike.threshold,
            "unlike": flagged,
            "words": f"{'further' if flagged else 'no further'} from the model's validation {asked_about(study)} than "
            f"{unlike.fraction:.0%} of these are",
        }
    }
