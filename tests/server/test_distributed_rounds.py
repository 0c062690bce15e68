"""Rounds whose hospitals share the noise out: what the sum is, what else leaves, and which sums stay closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from consortium import Group
from examples import dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.training import local_work as training
from wardround_client.training.local_work import PrivacyPlan, plan_privacy
from wardround_common.errors import MessageError, RoundError
from wardround_common.messages.rounds import Parts
from wardround_common.privacy.noisy_sum import NoisySum, least_survivors
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.study.sums import threshold_for
from wardround_server.rounds.course import Event, RoundEnds, State, run_study

from test_secure_rounds import NAMES, Memory, consortium, quiet, silent  # isort: skip

SHARED = {
    "mechanism": "dp-sgd",
    "trust": "distributed",
    "epsilon": 8.0,
    "delta": 1e-3,
    "clip_norm": 1.0,
    "sampling_rate": 1.0,
    "dropouts": 1,
    "colluders": 0,
}


def shared(
    privacy: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    aggregation: dict[str, Any] | None = None,
    **sections: Any,
) -> Study:
    return study(
        privacy=SHARED | (privacy or {}),
        training={"rounds": 2, "local_epochs": None, "batch_size": 24} | (training or {}),
        aggregation={"secure": True} | (aggregation or {}),
        model={"network": "tiny-cnn"},
        **sections,
    )


def privacy_of(of: Study) -> DistributedDpSgd:
    assert isinstance(of.privacy, DistributedDpSgd)
    return of.privacy


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "discrete_gaussian", lambda variance, count, stream: np.zeros(count, np.int64))


def everybodys_clipped_sum(of: Study, memory: Memory, parameters: np.ndarray) -> torch.Tensor:
    """Add up each patient's clipped gradient in the plainest loop; every patient has one image and is drawn."""
    network = networks.build(of)
    networks.write_vector(network, networks.layout_of(network), parameters)
    total = torch.zeros(len(parameters), dtype=torch.float64)
    for hospital in memory.at.values():
        data = hospital.dataset.train
        for place in range(len(data.targets)):
            network.zero_grad()
            logits = network(torch.from_numpy(data.images(np.array([place]))))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.targets[[place]])).backward()
            flat = torch.cat([weight.grad.flatten() for weight in network.parameters()]).double()  # type: ignore[union-attr]
            total += flat * min(1.0, privacy_of(of).clip_norm / float(flat.norm()))
    return total


@pytest.mark.usefixtures("without_noise")
def test_the_step_is_that_of_central_clipped_gradients_but_for_the_noise(tmp_path: Path) -> None:
    of = shared({"sampling_rate": 1.0}, {"rounds": 1, "learning_rate": 0.5})
    memory = Memory(of, tmp_path)
    start = networks.read_vector(networks.build(of))
    final = run_study(of, memory, quiet, None, consortium())
    wanted = start - 0.5 * everybodys_clipped_sum(of, memory, start).numpy() / 24
    patients, level = 48, 0.5 / 24 / 2**18
    assert np.abs(final.parameters - wanted).max() < patients * level + 1e-6
    assert np.abs(final.parameters - start).max() > 1e-3


def test_an_opened_sum_has_the_noise_that_it_claims(tmp_path: Path) -> None:
    of = shared({"sampling_rate": 1e-3, "dropouts": 0}, {"rounds": 1, "learning_rate": 24.0})  # nobody is drawn
    start = networks.read_vector(networks.build(of))
    plan = plan_privacy(of, 12)
    assert plan is not None
    noise = run_study(of, Memory(of, tmp_path), quiet, None, consortium()).parameters.astype(np.float64) - start
    assert stats.kstest(noise / plan.noise_multiplier, "norm").pvalue > 0.01
    assert np.std(noise) == pytest.approx(plan.noise_multiplier, rel=0.02)


def test_with_the_stated_drop_out_the_sum_still_has_the_noise_that_it_claims(tmp_path: Path) -> None:
    of = shared({"sampling_rate": 1e-3, "dropouts": 1}, {"rounds": 1, "learning_rate": 24.0})
    start = networks.read_vector(networks.build(of))
    plan = plan_privacy(of, 12)
    assert plan is not None
    for folder, alter, extra in (("short", silent("b", "train"), 3 / 3), ("whole", None, 4 / 3)):
        noise = run_study(of, Memory(of, tmp_path / folder, alter), quiet, None, consortium()).parameters - start
        assert np.std(noise) == pytest.approx(plan.noise_multiplier * np.sqrt(extra), rel=0.02)


def test_a_coordinator_that_opens_a_sum_with_too_little_noise_is_refused_by_the_hospitals(tmp_path: Path) -> None:
    names = "abcdef"
    of = shared({"dropouts": 1})  # 5 of 6 must be in the sum, though 5 is the threshold with one more drop-out
    group = Group(tmp_path, names, study(**of.model_dump() | {"aggregation": {"secure": True, "threshold": 4}}))
    gathering = group.gathering()
    for name in "abcd":
        gathering.add(name, group.upload(name))
    group.upload("e")  # came, and is said to have dropped out
    question = gathering.close().question()
    for name in "abcd":
        with pytest.raises(MessageError, match="shorter than the study allows"):
            group.desk(name).confirm("train", 1, question)
    gathering = group.gathering()
    for name in "abcde":
        gathering.add(name, group.upload(name))
    assert group.desk("a").confirm("train", 1, gathering.close().question())


def test_a_local_study_still_confirms_the_short_list(tmp_path: Path) -> None:
    group = Group(tmp_path, "abcdef", study(aggregation={"secure": True, "threshold": 4}))
    gathering = group.gathering()
    for name in "abcd":
        gathering.add(name, group.upload(name))
    assert group.desk("a").confirm("train", 1, gathering.close().question())


def test_more_drop_outs_than_stated_abandon_the_round_and_nothing_was_confirmed(tmp_path: Path) -> None:
    of = shared({"dropouts": 0})
    memory = Memory(of, tmp_path, silent("b", "train"))
    group = consortium()
    with pytest.raises(RoundError, match="3 hospitals are heard in round 1 where the study needs 4"):
        run_study(of, memory, quiet, None, group)
    assert {kind for _, kind, _ in memory.heard} == {"prepare", "train"}
    again = run_study(of, Memory(of, tmp_path), quiet, None, group)  # b is back
    assert again.history[0].answered == tuple(NAMES)


def test_nothing_but_the_masked_sum_leaves_in_training_and_it_is_as_long_whoever_was_drawn(tmp_path: Path) -> None:
    of = shared()
    memory = Memory(of, tmp_path)
    final = run_study(of, memory, quiet, None, consortium())
    answers = [answer for _, kind, answer in memory.heard if kind == "train"]
    for answer in answers:
        assert isinstance(answer, Parts)
        assert set(answer.fields) == {"study", "round", "sums"}
        assert answer.arrays["counts"].size == 0
    assert len({sum(array.nbytes for array in answer.arrays.values()) for answer in answers}) == 1  # type: ignore[union-attr]
    assert all(record.training_loss is None and not record.epsilons for record in final.history)


def test_a_gradient_that_is_not_finite_counts_as_zero_and_is_no_error() -> None:
    of = shared({"sampling_rate": 1.0})
    data = dataset().train
    data.kept[data.rows[0]] = np.nan
    form = NoisySum.of(of, privacy_of(of), 4, 3)
    built = build(of)
    start = networks.read_vector(built.network)
    plan = PrivacyPlan(1e-3, 1.0, 1.0, 1)
    run = training.LocalRun(of, built.network, built.layout, data, plan, insecure_stream(1))
    total = training.gradient_sum(run, start, 1, form)
    assert np.abs(form.decode(total)).max() < 100  # the noise alone, and the gradients of the others


def test_colluders_raise_the_threshold_or_are_refused() -> None:
    assert threshold_for(shared({"colluders": 0}), 3) == 2
    assert threshold_for(shared({"colluders": 1}), 3) == 3
    with pytest.raises(RoundError, match="a threshold of 3 of 5 hospitals would let 1 colluders open two lists"):
        threshold_for(shared({"colluders": 1}, aggregation={"min_hospitals": 2, "threshold": 3}), 5)


def test_an_evaluation_is_not_held_to_the_rule_of_training(tmp_path: Path) -> None:
    of = shared({"dropouts": 0})
    final = run_study(of, Memory(of, tmp_path, silent("b", "evaluate")), quiet, None, consortium())
    assert final.history[0].headline.value is not None


def test_the_model_is_judged_every_so_many_rounds_and_after_the_last(tmp_path: Path) -> None:
    of = shared(training={"rounds": 3}, evaluation={"every": 2})
    memory = Memory(of, tmp_path)
    history = run_study(of, memory, quiet, None, consortium()).history
    assert [record.validation_loss is not None for record in history] == [False, True, True]
    assert sum(kind == "evaluate" for _, kind, _ in memory.heard) == 2 * len(NAMES)


def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    of = shared({"sampling_rate": 0.5}, {"strategy": "fedavgm", "server_learning_rate": 1.0, "server_momentum": 0.9})
    states: list[State] = []

    def stop(event: Event) -> None:
        if isinstance(event, RoundEnds):
            states.append(event.state)
            if event.record.number == 2:
                raise KeyboardInterrupt  # after round 2 was opened, before it was kept

    whole = run_study(of, Memory(of, tmp_path / "whole"), quiet, None, consortium())
    group = consortium()
    with pytest.raises(KeyboardInterrupt):
        run_study(of, Memory(of, tmp_path / "broken"), stop, None, group)
    resumed = run_study(of, Memory(of, tmp_path / "broken"), quiet, states[0], group)
    assert resumed.parameters.tobytes() == whole.parameters.tobytes()


@pytest.mark.parametrize("hospitals", [4, 6, 20])
def test_the_least_survivors_are_what_the_share_is_planned_for(hospitals: int) -> None:
    of = shared({"dropouts": 2, "colluders": 1})
    threshold = threshold_for(of, hospitals)
    form = NoisySum.of(of, privacy_of(of), hospitals, threshold)
    assert form.survivors == least_survivors(of, hospitals, threshold) >= hospitals - 2
    assert (form.survivors - 1) * form.share(1.5) >= (1.5 * form.levels) ** 2
