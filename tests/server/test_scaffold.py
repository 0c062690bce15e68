"""SCAFFOLD: the paper's equations with real hospitals, through drop-outs, restarts and secure sums."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from consortium import RUN, MemoryJournal, identity, roster
from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.dataset import Dataset
from wardround_client.site_shift.kept import Kept
from wardround_client.spending.account import Account, approve, ask
from wardround_client.spending.ledger.store import open_ledger
from wardround_common.errors import MessageError, PrivacyError, RoundError, StorageError, StudyError, WardroundError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Failure, Parts, TrainRequest, Update
from wardround_common.randomness import insecure_stream
from wardround_common.results import RoundRecord
from wardround_common.secagg.question import question_digest
from wardround_common.strategies.contract import Moments
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_server.rounds import course
from wardround_server.rounds.carried import Carried, carried
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, State, run_study
from wardround_server.rounds.secure_rounds import Consortium

NAMES = "abc"
SKEW = {"a": 0.95, "b": 0.5, "c": 0.05}
"""How common the finding is at each hospital."""
RATE, STEPS = 0.5, 3


def corrected(**sections: Any) -> Study:
    training = {"strategy": "scaffold", "server_learning_rate": 1.0, "local_epochs": None, "local_steps": STEPS}
    training |= {"learning_rate": RATE, "batch_size": 64} | sections.pop("training", {})
    aggregation = {"largest_weight": 1} | sections.pop("aggregation", {})
    return study(model={"network": "wavelets"}, training=training, aggregation=aggregation, **sections)


def skewed(name: str) -> Dataset:
    """Return data whose classes a hospital has in its own proportion, and whose images have its own brightness."""
    data = dataset(NAMES.index(name), patients=60)
    wanted = insecure_stream(NAMES.index(name), "skew").uniform(len(data.train.rows)) < SKEW[name]
    chosen = np.flatnonzero(wanted == data.train.targets)
    train = replace(
        data.train,
        rows=data.train.rows[chosen],
        targets=data.train.targets[chosen],
        patients=data.train.patients[chosen],
    )
    return replace(data, train=train)


class Hospitals:
    """An exchange with hospitals in this process, opened anew for each question as after a restart."""

    def __init__(self, of: Study, folder: Path, lost: set[tuple[str, int]] | None = None) -> None:
        self.of, self.folder, self.built, self.lost = of, folder, build(of), lost or set()
        self.sent: dict[tuple[str, int], tuple[TrainRequest, Update]] = {}
        self.network = networks.build(of)
        self.data = {name: skewed(name) for name in NAMES}

    def kept(self, name: str) -> Kept:
        return Kept(self.folder / f"control {name}", self.of.digest(), self.built.first_own, durable=False)

    def at(self, name: str) -> Hospital:
        desk = Desk(self.of, name, identity(name), roster(NAMES), self.folder / name, os.urandom, durable=False)
        mine = desk if self.of.aggregation.secure else None
        stream = insecure_stream(0, name)
        return join(self.of, self.data[name], stream, self.built, mine, keeps=self.kept(name))

    def hospitals(self) -> Sequence[str]:
        return list(NAMES)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name, question in questions.items():
            try:
                answer = self.at(name).answer(kind, question)
            except WardroundError as error:
                yield name, Failure(error.kind)
                continue
            number = int(str(question.fields.get("round", 0)))
            if isinstance(answer, Update):
                self.sent[name, number] = TrainRequest.parse(question, self.built.layout.size), answer
            lost = kind == "train" and (name, number) in self.lost
            yield name, Failure("crashed") if lost else answer.parts()


def run(hospitals: Hospitals, before: State | None = None) -> list[State]:
    """Run the study and return its state after each round."""
    states: list[State] = []

    def watch(event: Event) -> None:
        if isinstance(event, RoundEnds):
            states.append(event.state)

    secure = hospitals.of.aggregation.secure
    consortium = Consortium(RUN, roster(NAMES), MemoryJournal()) if secure else None
    run_study(hospitals.of, hospitals, watch, before, consortium)
    return states


def control(state: State) -> NDArray[np.float64]:
    assert state.moments
    return state.moments.first


def gradient(hospitals: Hospitals, name: str, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gradient of the mean loss over a hospital's training images, (parameters,)."""
    network, data = hospitals.network, hospitals.data[name].train
    networks.write_vector(network, hospitals.built.layout, parameters.astype(np.float32))
    network.zero_grad()
    logits = network(torch.from_numpy(data.images(slice(None))))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(np.asarray(data.targets))).backward()
    return np.concatenate([weight.grad.numpy().ravel() for weight in network.parameters() if weight.grad is not None])


def paper(
    hospitals: Hospitals, first: Vector, rounds: int, rate: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Do algorithm 1 of Karimireddy et al., ICML 2020, with option II; return x and c after each round."""
    x, c = first.astype(np.float64), np.zeros(len(first))
    own, states = {name: np.zeros(len(x)) for name in NAMES}, []
    for number in range(1, rounds + 1):
        moves, changes = [], []
        for name in (name for name in NAMES if (name, number) not in hospitals.lost):
            y = x.copy()
            for _ in range(STEPS):
                y = y - rate * (gradient(hospitals, name, y) - own[name] + c)
            after = own[name] - c + (x - y) / (STEPS * rate)
            moves, changes = [*moves, y - x], [*changes, after - own[name]]
            own[name] = after
        x, c = x + np.mean(moves, axis=0), c + np.sum(changes, axis=0) / len(NAMES)
        states.append((x, c))
    return states


def test_rounds_follow_the_papers_equations_also_where_a_hospital_is_lost_for_a_round(tmp_path: Path) -> None:
    hospitals = Hospitals(corrected(training={"rounds": 3}, aggregation={"secure": True}), tmp_path, {("c", 2)})
    states = run(hospitals)
    first = networks.read_vector(networks.build(hospitals.of), hospitals.built.layout)
    for state, (x, c) in zip(states, paper(hospitals, first, 3, RATE), strict=True):
        assert np.abs(state.parameters - x).max() < 1e-5
        assert np.abs(control(state) - c).max() < 1e-5
    assert np.abs(control(states[-1])).max() > 0.01
    assert states[1].history[1].answered == ("a", "b")


@pytest.mark.parametrize("secure", [False, True])
def test_the_coordinators_control_variate_is_the_mean_of_the_hospitals_without_a_vector_of_its_own(
    secure: bool, tmp_path: Path
) -> None:
    # Without masks much is clipped, and what is kept must follow it; with them it is rounded.
    limits = {"secure": True, "ring_bits": 32} if secure else {"secure": False, "update_clip": 0.02}
    hospitals = Hospitals(corrected(training={"rounds": 4}, aggregation=limits), tmp_path, {("b", 4)})
    last = run(hospitals)[-1]
    counted = {"a": 4, "b": 3, "c": 4}
    own = [hospitals.kept(name).before(5, counted[name]) for name in NAMES]
    assert np.abs(np.mean(own, axis=0) - control(last)).max() < 1e-6
    assert all({*update.parts().arrays} == {"update"} for _, update in hospitals.sent.values())


@pytest.mark.slow
def test_label_skew_and_many_steps_stray_less_than_with_plain_averaging(tmp_path: Path) -> None:
    work = {"rounds": 6, "local_steps": 15, "weight_decay": 0.1}
    scaffold = Hospitals(corrected(training=work), tmp_path / "scaffold")
    plain = {"strategy": "fedavg", "server_learning_rate": None, "local_epochs": None, "batch_size": 64} | work
    averaged = Hospitals(corrected(training=plain), tmp_path / "fedavg")
    (tmp_path / "scaffold").mkdir()
    averaged.kept = lambda name: None  # type: ignore[assignment,method-assign,return-value]
    norms = []
    for hospitals in (averaged, scaffold):
        x = run(hospitals)[-1].parameters.astype(np.float64)
        mean = np.mean([gradient(hospitals, name, x) for name in NAMES], axis=0)
        norms.append(np.linalg.norm(mean + 0.1 * x))
    assert norms[1] < norms[0] / 3


def test_a_run_that_is_resumed_from_its_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    of = corrected(training={"rounds": 3, "schedule": "cosine"})
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = run(Hospitals(of, tmp_path / "whole"))[-1]

    class StoppedError(Exception):
        pass

    def stop(event: Event) -> None:
        if isinstance(event, RoundEnds):
            write_checkpoint(tmp_path / "checkpoint", of, event.state)
            raise StoppedError

    with pytest.raises(StoppedError):
        run_study(of, Hospitals(of, tmp_path / "cut"), stop)
    resumed = run(Hospitals(of, tmp_path / "cut"), read_checkpoint(tmp_path / "checkpoint", of))[-1]
    assert resumed.parameters.tobytes() == whole.parameters.tobytes()
    assert control(resumed).tobytes() == control(whole).tobytes()
    for name in NAMES:
        files = [(tmp_path / which / f"control {name}").read_bytes() for which in ("whole", "cut")]
        assert files[0] == files[1]


@pytest.mark.slow
def test_under_local_noise_a_control_variate_is_made_of_what_left_and_of_nothing_else(tmp_path: Path) -> None:
    of = corrected(training={"rounds": 3}, privacy=DP)
    hospitals = Hospitals(of, tmp_path)
    run(hospitals)
    for name in NAMES:
        own = np.zeros(hospitals.built.layout.size)
        for number in (1, 2, 3):
            request, update = hospitals.sent[name, number]
            assert request.control is not None
            own = own - request.control - update.vector / (STEPS * RATE)
        assert np.abs(hospitals.kept(name).now() - own).max() < 1e-5
        assert hospitals.at(name).plan.steps_a_round == STEPS  # type: ignore[union-attr]


def test_a_hospital_answers_again_alike_and_not_without_what_it_kept(tmp_path: Path) -> None:
    hospitals = Hospitals(corrected(), tmp_path)
    run(hospitals)
    request, update = hospitals.sent["a", 3]
    again = hospitals.at("a").answer("train", request.parts())
    assert isinstance(again, Update)
    assert again.vector.tobytes() == update.vector.tobytes()
    with pytest.raises(MessageError, match="comes before the last one"):
        hospitals.at("a").answer("train", hospitals.sent["a", 2][0].parts())
    hospitals.kept("a").path.unlink()
    with pytest.raises(StorageError, match="what this hospital kept after round 2 is not here"):
        hospitals.at("a").answer("train", request.parts())


def test_under_local_noise_a_round_is_not_answered_again_with_other_control_variates(tmp_path: Path) -> None:
    """The same noise on other steps: the difference would have none. So with what was kept brought back from a copy."""
    of, data = corrected(training={"rounds": 3}, privacy=DP), skewed("b")
    built = build(of)
    ledger = open_ledger(tmp_path / "ledger", identity("b"), durable=False)
    asked = ask(of, data, ledger)
    approve(asked, ledger, None)
    kept = tmp_path / "control"

    def answer(request: TrainRequest) -> None:
        at = Kept(kept, of.digest(), built.first_own, durable=False)
        there = join(of, data, insecure_stream(0, "b"), built, None, Account(ledger, None, asked), keeps=at)
        assert isinstance(there.answer("train", request.parts()), Update)

    first = networks.read_vector(networks.build(of), built.layout)
    zero = np.zeros_like(first)
    answer(TrainRequest(of.digest(), 1, first, control=zero))
    path = Kept(kept, of.digest(), built.first_own, durable=False).path
    copy = path.read_bytes()
    second = TrainRequest(of.digest(), 2, first, control=zero, counted=1)
    answer(second)
    path.write_bytes(copy)
    for other in (replace(second, counted=0), replace(second, control=zero + np.float32(1e-3))):
        with pytest.raises(PrivacyError, match="answered before"):
            answer(other)
    answer(second)


def test_what_the_coordinator_makes_up_of_control_variates_is_refused(tmp_path: Path) -> None:
    hospitals = Hospitals(corrected(), tmp_path)
    first = networks.read_vector(networks.build(hospitals.of), hospitals.built.layout)
    zero = np.zeros_like(first)
    good = TrainRequest(hospitals.of.digest(), 1, first, control=zero)
    for request, reason in [
        (replace(good, control=zero + 1), "does not start from control variates of zero"),
        (replace(good, control=None), "is missing, or the study has none"),
        (replace(good, control=zero[1:]), "'control' is not a float32 vector"),
        (replace(good, control=zero + np.float32("nan")), "numbers that are not finite"),
        (replace(good, counted=1), "in no round before this one"),
        (replace(good, counted=-1), "in no round before this one"),
    ]:
        with pytest.raises(MessageError, match=reason):
            hospitals.at("a").answer("train", request.parts())
    # Hospitals that are sent different control variates open no sum together, as with different models.
    assert question_digest(replace(good, control=zero + 1)) != question_digest(good)
    assert question_digest(replace(good, counted=1)) == question_digest(good)


def test_a_coordinator_cannot_clip_all_updates_but_one_to_read_that_from_a_secure_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 2 makes all hospitals keep much; in round 3 one is told that it is counted, and the others that not."""
    clip, pushed = 4.0, 8.0

    def lies(of: Study, moments: Moments | None, history: Sequence[RoundRecord]) -> Carried | None:
        told = carried(of, moments, history)
        assert told
        if len(history) == 1:
            return Carried(np.full_like(told.control, pushed), told.counted)
        back = np.full_like(told.control, clip / (STEPS * RATE) - pushed)
        return Carried(back, {"a": 2, "b": 1, "c": 1}) if len(history) == 2 else told

    monkeypatch.setattr(course, "carried", lies)
    monkeypatch.setattr(course, "moved", lambda of, moments, *_: moments)
    with pytest.raises(RoundError, match=r"0 hospitals are heard in round 2 .*a \(message\)"):
        run(Hospitals(corrected(training={"rounds": 3}, aggregation={"secure": True}), tmp_path))


def test_under_local_noise_large_corrections_are_taken_since_no_sum_has_to_hide_an_update(tmp_path: Path) -> None:
    for privacy, taken in ((DP, True), ({"mechanism": "none"}, False)):
        here = Hospitals(corrected(privacy=privacy, aggregation={"secure": True}), tmp_path).at("a")
        with nullcontext() if taken else pytest.raises(MessageError, match="correction alone"):
            here._check_correction(np.full(5, 100, np.float32), 2)


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"training": {"optimiser": "adamw"}}, "plain steps only; write optimiser = 'sgd'"),
        ({"training": {"momentum": 0.9}}, "steps without momentum only; remove it"),
        ({"training": {"local_epochs": 1.0}}, "so that no second vector has to leave; write local_steps"),
        ({"training": {"local_steps": None}}, "local_steps: this key is missing"),
        ({"training": {"personal": "norm"}, "evaluation": {"keep": "last"}}, "corrects the steps of a model that all"),
        ({"aggregation": {"largest_weight": 100}}, "count alike however many images they have; write largest_weight"),
        (
            {"privacy": DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0}},
            "so that nothing strays from its start; write 'fedavg'",
        ),
    ],
)
def test_what_it_does_not_combine_with_is_refused_with_the_reason(sections: dict[str, Any], reason: str) -> None:
    with pytest.raises((StudyError, ValueError), match=reason):
        corrected(**sections)


def test_batch_normalisation_is_refused_with_the_reason() -> None:
    tables = corrected().tables(nulls=False)
    tables["model"] |= {"network": "small-cnn", "norm": "batch"}
    with pytest.raises(ValueError, match="which no gradient moves and no control variate corrects"):
        Study.model_validate(tables)


def test_parts_of_a_batch_are_refused_where_the_study_mixes_the_images_of_one() -> None:
    tables = corrected().tables(nulls=False)
    tables["model"] |= {"network": "small-cnn", "norm": "batch"}
    tables["training"] = {**tables["training"], "strategy": "fedavg", "micro_batch": 2}
    tables["training"].pop("server_learning_rate", None)
    with pytest.raises(ValueError, match="a step would not be that of its batch"):
        Study.model_validate(tables)


def test_a_study_explains_what_stays_and_that_nothing_more_leaves() -> None:
    said = describe(corrected(privacy=DP))
    text = " ".join(" ".join(section.sentences) for section in said)
    assert "each step is corrected by the difference of the two (SCAFFOLD)" in text
    assert "and nothing leaves besides that" in text
    assert "3 steps over its training images" in text
    assert "it costs no epsilon" in text
