"""What a round heard: the mean update, and who is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wardround_common.counting import count
from wardround_common.errors import FullDiskError, MessageError, RoundError, RoundStorageError, StorageError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Split
from wardround_common.metrics.noised import NoisedCounts
from wardround_common.metrics.unlike import BINS, FEATURE_NUMBERS, DistanceSums, FeatureSums
from wardround_common.results import Absence, OwnFigures
from wardround_common.results.subgroup_sums import NO_SUBGROUPS, TestSums, length, nobody, read
from wardround_common.study.before import Before
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of
from wardround_server.rounds.absences import remedies


@dataclass(frozen=True, eq=False)
class Heard:
    """What the hospitals' local work of one round gave together."""

    mean: NDArray[np.float64] = field(repr=False)
    """(parameters,) the mean update, weighted by examples; of gradients: the step down their mean."""
    answered: tuple[str, ...]
    absent: tuple[Absence, ...]
    training_loss: float | None
    epsilons: dict[str, float]
    """By hospital; empty if the sum is secure, since it would say how many patients a hospital has."""
    clipped: float | None
    """The fraction of the updates' numbers that were clipped; None if the sum is not secure, or of gradients."""
    losses: dict[str, float] = field(default_factory=dict)
    """Training loss by hospital, of those that told one of enough images; empty if the sum is secure."""


@dataclass(frozen=True)
class GivenUp:
    """A round of which nothing is used: the model stays as it was, and the next round is asked.

    It was begun before an interruption and could not be summed again; or it was summed and ``refused``.
    """

    absent: tuple[Absence, ...]
    answered: tuple[str, ...] = ()
    """Who was summed."""
    refused: str = ""
    """Why the sum is not used, in one sentence; empty if there is none."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What the hospitals' patients of a split say of a model, all of them together."""

    sums: Sums
    """Empty if too few hospitals took part, or if the sums were refused."""
    absent: tuple[Absence, ...]
    refused: str = ""
    """Why the sums are not used, in one sentence; empty if they are, or if there are none."""
    own: Mapping[str, OwnFigures] = field(default_factory=dict)
    """Of each hospital's validation patients, where the study tracks them and they are enough; never of secure sums."""


@dataclass(frozen=True)
class Form:
    """What is added up of a split's patients."""

    empty: Callable[[], Any]
    read: Callable[[NDArray[Any]], Any]
    """From a vector to sums.

    Raises:
        MessageError: they are not possible.
    """
    length: int
    settled: Callable[[Any], Any] = lambda sums: sums
    """What is read off all of them together: the possible sums that are nearest, where they have noise."""


def form_of(study: Study, split: Split) -> Form:
    """Return what is added up of a split's patients: the task's sums, of test patients by subgroup too, or features."""
    if split == "features":
        return Form(FeatureSums.empty, FeatureSums.from_vector, FEATURE_NUMBERS)
    if split == "distances":
        return Form(DistanceSums.empty, DistanceSums.from_vector, BINS)
    if split == "before":
        nobody_yet = Before.empty(study)
        return Form(lambda: nobody_yet, lambda vector: Before.read(vector, study), len(nobody_yet.to_vector()))
    if study.noised:
        return _noised_form(study, split)
    if split == "test":
        return Form(lambda: nobody(study), lambda vector: read(vector, study), length(study))
    task, section = task_of(study.task), study.task
    return Form(lambda: task.empty(section), lambda vector: task.read(vector, section), task.length(section))


def _noised_form(study: Study, split: Split) -> Form:
    """Return how counts of patients with noise are added up, of whom nothing else is (``study.noise``)."""
    noised, section = task_of(study.task).noised_sums(), study.task
    cells, blocks = noised.cells(section), noised.blocks(section)

    def settled(sums: NoisedCounts) -> Any:
        whole = noised.settled(sums.counts, section)
        return TestSums(whole, NO_SUBGROUPS) if split == "test" else whole

    return Form(
        lambda: NoisedCounts.empty(cells, blocks),
        lambda vector: NoisedCounts.read(vector, cells, blocks),
        1 + cells,
        settled,
    )


class Rounds(Protocol):
    """How the rounds of one run are asked for and added up: in the clear, or as secure sums."""

    def train(self, parameters: Vector, number: int, tell: Callable[[str], None]) -> Heard | GivenUp:
        """Let the hospitals train one round on ``parameters``; ``tell`` is told each whose answer was added.

        Raises:
            RoundError: too few hospitals took part.
        """

    def score(
        self, parameters: Vector, number: int, split: Split = "validation", everybody: NDArray[np.int64] | None = None
    ) -> Scored:
        """Sum how good the parameters are on the hospitals' patients of a split, and name who is missing.

        Or what their features are, and with ``everybody``'s sums of these how far each lies from the others.

        If too few hospitals take part, or one of them sends what is impossible, the sums are empty: the round is
        complete without them.
        """


def check_answers(study: Study, answer_study: str, number: int, answer_number: int) -> None:
    """Check that an answer is to our question.

    Raises:
        MessageError: it is not.
    """
    if answer_study != study.digest() or answer_number != number:
        raise MessageError("the answer is to another question")


def enough(study: Study, what: str, here: Sequence[str], absent: Sequence[Absence], threshold: int = 0) -> None:
    """Check that as many hospitals are here as the study needs, and as its secure sums' threshold needs.

    Raises:
        RoundError: they are fewer; it names who is missing and why.
        RoundStorageError: they are fewer since hospitals could not write or read their files.
    """
    least = max(study.aggregation.min_hospitals, threshold)
    if len(here) >= least:
        return
    missing = ", ".join(f"{absence.hospital} ({absence.kind})" for absence in absent) or "none was there to ask"
    what = (
        f"{count(len(here), 'hospital is', 'hospitals are')} {what} where the study needs {least}; missing: {missing}"
    )
    full = [absence.hospital for absence in absent if absence.kind == FullDiskError.kind]
    unwritten = [absence.hospital for absence in absent if absence.kind == StorageError.kind]
    if (full or unwritten) and len(here) + len(full) + len(unwritten) >= least:
        said = [f"the disk is full at {', '.join(full)}"] if full else []
        said += [f"files cannot be written or read at {', '.join(unwritten)}"] if unwritten else []
        raise RoundStorageError(
            f"{'; '.join(said)}: {what}",
            do="Have it repaired there: its people read which file and why with 'wardround hospital status'. Completed "
            "rounds are kept.",
        )
    raise RoundError(what, do=remedies(absent) or "Wait until hospitals are connected.")


def absence(hospital: str, reason: str) -> Absence:
    """Note that a hospital is missing; a reason that is no fixed word of ours is 'error'."""
    return Absence(hospital=hospital, kind=reason if re.fullmatch("[a-z][a-z-]{0,30}", reason) else "error")
