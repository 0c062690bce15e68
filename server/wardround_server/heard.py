"""What a round heard: the mean update, and who is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, RoundError
from wardround_common.results import Absence
from wardround_common.study import Study


@dataclass(frozen=True, eq=False)
class Heard:
    """What the hospitals' local work of one round gave together."""

    mean: NDArray[np.float64] = field(repr=False)
    """(parameters,) the mean update, weighted by examples."""
    answered: tuple[str, ...]
    absent: tuple[Absence, ...]
    training_loss: float | None
    epsilons: dict[str, float]
    """By hospital; empty if the sum is secure, since it would say how many patients a hospital has."""
    clipped: float | None
    """The fraction of the updates' numbers that were clipped; None if the sum is not secure."""


def check_answers(study: Study, answer_study: str, number: int, answer_number: int) -> None:
    """Check that an answer is to our question.

    Raises:
        MessageError: it is not.
    """
    if answer_study != study.digest() or answer_number != number:
        raise MessageError("the answer is to another question")


def enough(study: Study, what: str, here: Sequence[str], absent: Sequence[Absence]) -> None:
    """Check that as many hospitals are here as the study needs.

    Raises:
        RoundError: they are fewer; it names who is missing and why.
    """
    least = study.aggregation.min_hospitals
    if len(here) < least:
        missing = ", ".join(f"{absence.hospital} ({absence.kind})" for absence in absent) or "none was there to ask"
        raise RoundError(
            f"{len(here)} hospitals are {what} where the study needs {least}; missing: {missing}",
            do="Mend what the missing hospitals report ('model' means that training diverged: lower the learning "
            "rate), or lower min_hospitals in [aggregation].",
        )


def absence(hospital: str, reason: str) -> Absence:
    """Note that a hospital is missing; a reason that is no fixed word of ours is 'error'."""
    return Absence(hospital=hospital, kind=reason if re.fullmatch("[a-z][a-z-]{0,30}", reason) else "error")
