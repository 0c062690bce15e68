"""What a hospital answers of a study that it approved: the questions that the study has, each in its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortium import RUN, identity, roster
from examples import dataset, study, untrained
from wardround_client import networks
from wardround_client.hospital.answering import Built, Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_common.errors import DataError, MessageError
from wardround_common.messages.rounds import EvaluateRequest, Parts, PrepareRequest, Split, TrainRequest
from wardround_common.messages.vote import VoteRequest
from wardround_common.metrics.unlike import FEATURE_NUMBERS
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest
from wardround_common.secagg.terms import write_members
from wardround_common.study.file import Study

OTHER = "0" * 64
ROUNDS, FEATURES, DISTANCES, TEST = 2, 3, 4, 5


def of(*, secure: bool, **evaluation: Any) -> Study:
    return study(
        training={"rounds": ROUNDS},
        model={"network": "tiny-cnn"},
        aggregation={"secure": secure, "vote_margin": 0.1},
        evaluation={"usual": 0.95} | evaluation,
    )


@pytest.fixture(scope="module")
def built() -> Built:
    return build(of(secure=False))


def hospital(asking: Study, built: Built, folder: Path, *, trains: bool = True) -> tuple[Hospital, bytes | None]:
    """Return a hospital, and the cohort that it was prepared for."""
    if not asking.aggregation.secure:
        return join(asking, dataset() if trains else untrained(), insecure_stream(0, "a"), built), None
    desks = {name: Desk(asking, name, identity(name), roster("ab"), folder / name, os.urandom) for name in "ab"}
    cohort = write_members([desk.join(RUN) for desk in desks.values()])
    at = join(asking, dataset() if trains else untrained(), insecure_stream(0, "a"), built, desks["a"])
    return at, cohort


class Asking:
    """Questions of a coordinator that may put any number and any study."""

    def __init__(self, asking: Study, cohort: bytes | None) -> None:
        self.digest, self.cohort = asking.digest(), cohort
        self.parameters = networks.read_vector(networks.build(asking))

    def train(self, number: int, digest: str = "") -> tuple[str, Parts]:
        return "train", TrainRequest(digest or self.digest, number, self.parameters, self.cohort).parts()

    def evaluate(self, split: Split, number: int, digest: str = "") -> tuple[str, Parts]:
        everybody = np.zeros(FEATURE_NUMBERS, np.int64) if split == "distances" else None
        asked = EvaluateRequest(digest or self.digest, number, split, self.parameters, self.cohort, everybody)
        return "evaluate", asked.parts()

    def vote(self, number: int, digest: str = "") -> tuple[str, Parts]:
        return "vote", VoteRequest(digest or self.digest, number, self.parameters, self.parameters).parts()

    def of_another_study(self) -> Iterator[tuple[str, Parts]]:
        yield "prepare", PrepareRequest(OTHER, send_parameters=True, run=RUN).parts()
        yield self.train(1, OTHER)
        yield self.evaluate("validation", 1, OTHER)
        yield self.evaluate("test", TEST, OTHER)
        yield self.vote(1, OTHER)
        if self.cohort is not None:
            yield "confirm", ConfirmRequest(OTHER, 1, "train", b"").parts()
            yield "open", OpenRequest(OTHER, 1, "train", b"", b"").parts()

    def out_of_place(self) -> Iterator[tuple[str, Parts]]:
        yield from (self.train(number) for number in (ROUNDS + 1, 1000))
        yield from (self.evaluate("validation", number) for number in (0, ROUNDS + 1, TEST))
        yield from (self.evaluate("before", number) for number in (0, 1))  # the study adds nothing up then
        yield from (self.evaluate("features", number) for number in (1, ROUNDS, DISTANCES, TEST))
        yield from (self.evaluate("distances", number) for number in (1, ROUNDS, FEATURES, TEST))
        yield from (self.evaluate("test", number) for number in (0, 1, ROUNDS, FEATURES, DISTANCES, TEST + 1))
        yield from (self.vote(number) for number in (ROUNDS + 1, 1000))
        yield "sums", self.train(1)[1]


def is_unmarked(folder: Path) -> bool:
    """Tell whether a hospital keeps nothing of what it was asked: a mark would keep it from the round that comes."""
    return not folder.exists() or {path.name for path in (folder / "a").iterdir()} == {"run"}


@pytest.mark.parametrize("secure", [False, True])
def test_a_question_of_another_study_or_out_of_its_place_is_refused_and_leaves_no_mark(
    built: Built, tmp_path: Path, secure: bool
) -> None:
    asking = of(secure=secure)
    at, cohort = hospital(asking, built, tmp_path / "desks")
    questions = Asking(asking, cohort)
    for kind, parts in (*questions.of_another_study(), *questions.out_of_place()):
        with pytest.raises(MessageError):
            at.answer(kind, parts)
        assert is_unmarked(tmp_path / "desks"), (kind, parts.fields)
    for kind, parts in (questions.train(1), questions.evaluate("validation", 1), questions.evaluate("test", TEST)):
        at.answer(kind, parts)


@pytest.mark.parametrize("secure", [False, True])
def test_what_the_study_does_not_sum_is_asked_in_vain(built: Built, tmp_path: Path, secure: bool) -> None:
    asking = of(secure=secure, usual=None)
    at, cohort = hospital(asking, built, tmp_path / "desks")
    questions = Asking(asking, cohort)
    for split in ("features", "distances"):
        for number in (ROUNDS, FEATURES, DISTANCES):
            with pytest.raises(MessageError, match="sums no features"):
                at.answer(*questions.evaluate(split, number))
    assert is_unmarked(tmp_path / "desks")


@pytest.mark.parametrize("secure", [False, True])
def test_a_hospital_that_only_evaluates_is_asked_in_vain_for_anything_but_the_test(
    built: Built, tmp_path: Path, secure: bool
) -> None:
    asking = of(secure=secure, external=["a"])
    at, cohort = hospital(asking, built, tmp_path / "desks", trains=False)
    questions = Asking(asking, cohort)
    asked = [
        questions.train(1),
        questions.evaluate("validation", 1),
        questions.evaluate("before", 0),
        questions.evaluate("features", FEATURES),
        questions.evaluate("distances", DISTANCES),
        questions.evaluate("test", 1),
    ]
    for kind, parts in asked:
        with pytest.raises(MessageError):
            at.answer(kind, parts)
    with pytest.raises(DataError, match="no validation patients"):
        at.answer(*questions.vote(1))
    assert is_unmarked(tmp_path / "desks")
    at.answer(*questions.evaluate("test", asking.external_round))


def test_a_hospital_that_only_evaluates_counts_no_classes_before_the_first_round(built: Built, tmp_path: Path) -> None:
    plain = of(secure=False, external=["a"])
    asking = plain.model_copy(update={"training": plain.training.model_copy(update={"count_classes": True})})
    at, cohort = hospital(asking, built, tmp_path, trains=False)
    with pytest.raises(MessageError, match="this hospital only evaluates"):
        at.answer(*Asking(asking, cohort).evaluate("before", 0))
