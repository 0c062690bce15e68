"""Code of others' as a strategy: tried before anything is trained, and what it gives checked in each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import StudyError, WardroundError
from wardround_common.kinds import kind_of
from wardround_common.messages.parameters import Vector
from wardround_common.strategies.contract import Moments, Step, Strategy, Values

TRIED = 5
"""Parameters on which a strategy is tried before anything is trained."""


@dataclass(frozen=True)
class Whose:
    """How errors of somebody's code call it, and what kind of error they are."""

    subject: str
    """'your strategy', 'its strategy half'."""
    where: str
    error: type[StudyError] = StudyError


@dataclass(frozen=True)
class Checked:
    """A strategy's step, whose errors are told as its own and whose result is checked."""

    step: Step
    whose: Whose

    def __call__(
        self, values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
    ) -> tuple[Moments | None, Vector]:
        """Take a step on copies, so that nothing of the coordinator's is changed in place."""
        try:
            given = self.step(values, moments, parameters.copy(), mean_update.copy())
        except WardroundError:
            raise
        except (Exception, SystemExit) as error:
            raise self.whose.error(
                f"{self.whose.subject} fails: {type(error).__name__}: {error}",
                where=self.whose.where,
                do="It is called with the parameters and the mean update, each (parameters,), and returns the next "
                "parameters.",
            ) from error
        if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], Moments | None):
            raise self.whose.error(
                f"{self.whose.subject} returns no pair of what it remembers and the next parameters",
                where=self.whose.where,
                do="Return (None, parameters) or (Moments(…), parameters).",
            )
        return given[0], as_model(given[1], len(parameters), self.whose)


def as_model(given: Any, size: int, whose: Whose) -> Vector:
    """Return what a strategy gave as parameters (size,) float32.

    Raises:
        StudyError: it is no model.
    """
    vector = np.asarray(given)
    if vector.shape != (size,) or vector.dtype.kind != "f" or not np.isfinite(vector).all():
        form = f"{vector.dtype} of the shape {vector.shape}" if vector.dtype.kind in "biufc" else kind_of(given)
        if vector.dtype.kind == "f" and vector.shape == (size,):
            form = "what is not finite"
        raise whose.error(
            f"{whose.subject} returns {form}, and a model is {size} finite numbers, float32",
            where=whose.where,
            do="Return the next parameters as an array of the shape of the parameters.",
        )
    return vector.astype(np.float32)


def try_strategy(strategy: Strategy, values: Values, whose: Whose) -> None:
    """Check that a strategy makes a model of a model, and the same one when it is asked again.

    Raises:
        StudyError: it does not.
    """
    step = strategy.step if isinstance(strategy.step, Checked) else Checked(strategy.step, whose)
    parameters, mean = np.ones(TRIED, np.float32), np.linspace(-1, 1, TRIED)
    try:
        begun = [strategy.begin(values, TRIED) for _ in range(2)]
    except (Exception, SystemExit) as error:
        raise whose.error(
            f"{whose.subject} fails before its first step: {type(error).__name__}: {error}", where=whose.where
        ) from error
    first, again = (step(values, moments, parameters, mean)[1] for moments in begun)
    if not np.array_equal(first, again):
        raise whose.error(
            f"{whose.subject} gives another model when it is asked again: a run could not be repeated",
            where=whose.where,
            do="Draw nothing at random, and keep nothing outside of Moments.",
        )
