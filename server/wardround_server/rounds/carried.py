"""What a round's question carries besides the model where steps are corrected: a control variate, and who is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import EvaluateRequest, Parts, TrainRequest
from wardround_common.results import RoundRecord
from wardround_common.strategies.contract import Moments
from wardround_common.study.file import Study
from wardround_common.study.schedule import reach


@dataclass(frozen=True, eq=False)
class Carried:
    """The mean of the hospitals' control variates, and the last round in which each was counted."""

    control: Vector = field(repr=False)
    counted: Mapping[str, int]


def questions_of(
    request: TrainRequest | EvaluateRequest, hospitals: Iterable[str], carries: Carried | None
) -> dict[str, Parts]:
    """Return each hospital's question: one for all, or one for all that were last counted in the same round."""
    if not isinstance(request, TrainRequest) or carries is None:
        return dict.fromkeys(hospitals, request.parts())
    when = {name: carries.counted.get(name, 0) for name in hospitals}
    written = {number: replace(request, counted=number).parts() for number in {*when.values()}}
    return {name: written[number] for name, number in when.items()}


def carried(study: Study, moments: Moments | None, history: Sequence[RoundRecord]) -> Carried | None:
    """Return what the next round's questions carry; None of a study whose steps are not corrected."""
    if study.training.variates is None or moments is None:
        return None
    counted = {name: record.number for record in history if record.counted for name in record.answered}
    return Carried(moments.first.astype(np.float32), counted)


def moved(
    study: Study, moments: Moments | None, before: Carried, mean: NDArray[np.float64], number: int, who: Sequence[str]
) -> Moments | None:
    """Return the moments with the control variate after a round in which ``who`` were counted, in ``mean``."""
    variates, training = study.training.variates, study.training
    if variates is None or moments is None:
        return moments
    known = len({*before.counted, *who})
    after = variates.shared(moments.first, mean, reach(training, number), len(who), len(before.counted), known)
    return replace(moments, first=after)
