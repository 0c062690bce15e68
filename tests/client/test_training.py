"""A round's local work against slow oracles, and the bounds that differential privacy rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from examples import DP, STUDY, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.examples import Examples
from wardround_client.training.bookkeeping import BookKeeping
from wardround_client.training.local_work import (
    LocalRun,
    LocalWork,
    PrivacyPlan,
    _begin,
    _together,
    gradient_sum,
    plan_privacy,
    train,
)
from wardround_client.training.threads import use_threads
from wardround_common.errors import ModelError, PrivacyError
from wardround_common.messages.parameters import Layout
from wardround_common.privacy.accounting import SampledGaussian, epsilon_of
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.study.schedule import learning_rate

SHARED = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0}
STREAM = insecure_stream(1, "hospital")


def work(of: Study, examples: Examples, round_number: int = 1, plan: PrivacyPlan | None = None) -> LocalWork:
    built = build(of)
    start = networks.read_vector(networks.build(of))
    return train(LocalRun(of, built.network, built.layout, examples, plan, STREAM), start, round_number)


def test_a_plain_round_is_the_plain_loop() -> None:
    of, data = study(), dataset().train
    use_threads(of)
    network = networks.build(of)
    before = networks.read_vector(network)
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    order = STREAM.child("order", 0).permutation(len(data.targets))
    for start in range(0, len(order), 8):
        rows = order[start : start + 8]
        optimiser.zero_grad()
        logits = network(torch.from_numpy(data.images(rows)))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.targets[rows])).backward()
        optimiser.step()
    assert work(of, data).update.tobytes() == (networks.read_vector(network) - before).tobytes()


def test_two_half_epochs_see_every_image_once() -> None:
    data = dataset(patients=40).train
    seen: list[int] = []

    class Watching(Examples):
        def images(self, places: object) -> np.ndarray:
            seen.extend(np.atleast_1d(places).tolist())
            return super().images(places)  # type: ignore[arg-type]

    watching = Watching(data.kept, data.rows, data.targets, data.patients)
    of = study(training={"local_epochs": 0.5, "batch_size": 4})
    work(of, watching, 1)
    first = len(seen)
    work(of, watching, 2)
    assert 0 < first < len(data.targets)
    assert sorted(seen) == list(range(len(data.targets)))


def test_a_round_done_again_is_the_same_round() -> None:
    of = study(privacy=DP, training={"augmentations": ["flip", "shift", "rotate", "scale", "intensity"]})
    data = dataset().train
    plan = plan_privacy(of, data.patient_count)
    assert work(of, data, 2, plan).update.tobytes() == work(of, data, 2, plan).update.tobytes()


def test_fedprox_pulls_the_update_towards_the_round_start() -> None:
    data = dataset().train
    free = work(study(training={"local_epochs": 5.0}), data).update
    held = work(study(training={"local_epochs": 5.0, "strategy": "fedprox", "proximal_mu": 10.0}), data).update
    assert np.linalg.norm(held) < 0.9 * np.linalg.norm(free)


def test_fedprox_pulls_a_private_update_too() -> None:
    """A penalty in the loss would be lost: only gradients of single patients reach a private step's sum."""
    data = dataset().train
    free, held = (study(privacy=DP, training=more) for more in ({}, {"strategy": "fedprox", "proximal_mu": 10.0}))
    plan = plan_privacy(free, data.patient_count)
    assert plan is not None
    assert plan.steps_a_round > 1
    moved = [np.linalg.norm(work(of, data, plan=plan).update) for of in (free, held)]  # by the same noise
    assert moved[1] < 0.9 * moved[0]


def test_the_cosine_falls_from_the_rate_to_a_hundredth() -> None:
    training = study(training={"schedule": "cosine", "rounds": 11}).training
    rates = [learning_rate(training, number) for number in range(1, 12)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.0005)
    assert rates == sorted(rates, reverse=True)


def per_patient_oracle(of: Study, data: Examples, places: list[np.ndarray], clip: float) -> torch.Tensor:
    network = networks.build(of)
    total = torch.zeros(sum(weight.numel() for weight in network.parameters()))
    for one in places:
        gradients = []
        for place in one:
            network.zero_grad()
            logits = network(torch.from_numpy(data.images(np.array([place]))))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.targets[[place]])).backward()
            gradients.append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))  # type: ignore[union-attr]
        mean = torch.stack(gradients).mean(0)
        total += mean * min(1.0, clip / (float(mean.norm()) + 1e-6))
    return total


def clipped_sum(of: Study, data: Examples, places: list[np.ndarray], clip: float) -> torch.Tensor:
    network, rows, counts = networks.build(of), np.concatenate(places), [len(one) for one in places]
    with BookKeeping(network) as books:
        logits = network(torch.from_numpy(data.images(rows)))
        losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.targets[rows]), reduction="none")
        shares = torch.from_numpy(np.repeat(1 / np.array(counts, np.float32), counts))
        sums = books.clipped_sum(losses * shares, counts, clip)
    return torch.cat([part.flatten() for part in sums])


@pytest.mark.parametrize("norm", ["group", "instance"])
@pytest.mark.parametrize("clip", [0.05, 1.0, 100.0])
def test_clipped_sums_equal_a_patient_by_patient_loop(norm: str, clip: float) -> None:
    of, data = study(model={"norm": norm}), dataset(patients=10, images_per_patient=3).train
    places = data.places_by_patient()
    places[0] = places[0][:1]  # patients with unequal numbers of images
    fast, slow = clipped_sum(of, data, places, clip), per_patient_oracle(of, data, places, clip)
    assert float((fast - slow).norm() / slow.norm()) < 1e-4


def test_a_patient_with_fifty_images_moves_the_sum_no_more_than_one_with_one() -> None:
    of, clip = study(), 0.01
    many = dataset(patients=5, images_per_patient=50).train
    for places in (many.places_by_patient()[:1], [many.places_by_patient()[0][:1]]):
        assert float(clipped_sum(of, many, places, clip).norm()) <= clip * (1 + 1e-5)


def test_noise_has_the_planned_size_and_an_empty_sample_is_a_step_of_noise() -> None:
    of = study(privacy=DP, training={"learning_rate": 1.0})
    data = dataset().train
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=3.0, sampling_rate=1e-9, steps_a_round=1)  # nobody is drawn
    update = work(of, data, 1, plan).update
    expected = 3.0 * 1.0 / (1e-9 * data.patient_count)
    assert np.std(update) == pytest.approx(expected, rel=0.02)


def test_each_patient_is_drawn_alone_and_a_batch_is_neither_cut_nor_filled() -> None:
    """What the account calls Poisson sampling: steps of nobody and of three times as many as expected take place."""
    of, data, rate = study(privacy=DP, model={"network": "tiny-cnn"}), dataset().train, 0.15
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=3.0, sampling_rate=rate, steps_a_round=60)
    chances = [STREAM.child("patients", 1, step).uniform(data.patient_count) for step in range(60)]
    drawn = [int(np.count_nonzero(one < rate)) for one in chances]
    assert 0 in drawn
    assert max(drawn) > 2.5 * rate * data.patient_count
    built, sizes = build(of), list[int]()
    built.network.register_forward_pre_hook(lambda network, given: sizes.append(len(given[0])))
    start = networks.read_vector(built.network)
    train(LocalRun(of, built.network, built.layout, data, plan, STREAM), start, 1)
    assert sizes == [many for many in drawn if many]


def test_noise_differs_between_rounds_steps_and_hospitals() -> None:
    draws = {STREAM.child("noise", r, s).words(4).tobytes() for r in range(3) for s in range(3)}
    assert len(draws) == 9
    assert insecure_stream(1, "other").child("noise", 0, 0).words(4).tobytes() not in draws


def test_the_whole_study_keeps_to_its_epsilon() -> None:
    of = study(privacy=DP)
    plan = plan_privacy(of, patients=100)
    assert plan is not None
    assert 7.8 < plan.epsilon_after(of.training.rounds) <= 8.0
    assert 0 < plan.epsilon_after(1) < plan.epsilon_after(2)


def test_the_whole_study_keeps_to_its_epsilon_where_hospitals_share_the_noise() -> None:
    training = {key: value for key, value in STUDY["training"].items() if key != "local_epochs"} | {"rounds": 30}
    sections = {"privacy": SHARED | {"sampling_rate": 0.25}, "aggregation": {"min_hospitals": 3, "secure": True}}
    plan = plan_privacy(Study.model_validate(STUDY | sections | {"training": training}), patients=100)
    assert plan is not None
    assert 7.8 < plan.epsilon_after(30) <= 8.0


def test_what_was_added_up_before_the_first_round_is_part_of_the_epsilon_that_is_told() -> None:
    before = SampledGaussian(4.0, 1.0, 1)
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=3.0, sampling_rate=0.5, steps_a_round=2, before=before)
    assert plan.epsilon_after(0) == epsilon_of(before, 1e-3) > 0
    assert plan.epsilon_after(2) == epsilon_of((before, SampledGaussian(3.0, 0.5, 4)), 1e-3)


def test_under_dp_no_loss_leaves() -> None:
    of, data = study(privacy=DP), dataset().train
    assert work(of, data, 1, plan_privacy(of, data.patient_count)).mean_loss is None


def test_whether_a_private_round_is_answered_does_not_tell_of_a_patient_by_parameters_made_for_their_image() -> None:
    """Both outputs have the same weights, so that nobody's gradient is large but the one's whose output overflows."""
    of, data = study(privacy=DP | {"epsilon": 0.1}, training={"batch_size": 16, "learning_rate": 1e-6}), dataset().train
    flat = data.images(np.arange(len(data))).reshape(len(data), -1).astype(np.float64)
    known = int(np.square(flat).sum(axis=1).argmax())
    network = nn.Sequential(nn.Flatten(), nn.Linear(flat.shape[1], 2, bias=False))
    layout = Layout(("1.weight",), ((2, flat.shape[1]),))
    trap = np.tile(flat[known] / np.square(flat[known]).sum() * 3.6e38, 2).astype(np.float32)
    outputs = flat @ trap[: flat.shape[1]].astype(np.float64)
    assert outputs[known] > np.finfo(np.float32).max > 1.05 * np.delete(outputs, known).max()

    others = np.flatnonzero(data.patients != data.patients[known])
    without = Examples(data.kept, data.rows[others], data.targets[others], data.patients[others])
    for examples in (data, without):
        plan = plan_privacy(of, examples.patient_count)
        for hospital in range(5):
            stream = insecure_stream(hospital, "hospital")
            done = train(LocalRun(of, network, layout, examples, plan, stream), trap, 2)
            assert np.isfinite(done.update).all()


def test_a_patient_whose_gradient_is_not_finite_counts_as_nothing_and_the_others_as_before() -> None:
    of = study(privacy=DP | {"images_per_patient": 2})
    data = dataset(patients=12, images_per_patient=2).train
    images = data.images(np.arange(len(data)))
    last = np.flatnonzero(data.patients == data.patients[-1])
    images[last] = 1e38
    spoilt = Examples(images, np.arange(len(data)), data.targets, data.patients)
    kept = np.arange(len(data))[: -len(last)]
    others = Examples(images, kept, data.targets[kept], data.patients[kept])
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=1e-6, sampling_rate=1.0, steps_a_round=1)
    found, expected = work(of, spoilt, 1, plan).update, work(of, others, 1, plan).update
    share = others.patient_count / spoilt.patient_count  # both sums are divided by how many patients there are
    assert np.abs(found - share * expected).max() < 1e-3 * np.abs(expected).max()


def test_a_delta_that_would_publish_a_patient_is_refused() -> None:
    with pytest.raises(PrivacyError, match="does not protect anybody among 2,000"):
        plan_privacy(study(privacy=DP), patients=2000)
    with pytest.raises(PrivacyError, match="does not protect anybody among 1,000"):
        plan_privacy(study(privacy=DP), patients=1000)
    assert plan_privacy(study(privacy=DP), patients=999) is not None


@pytest.mark.parametrize("privacy", [None, DP | {"images_per_patient": 3}], ids=["plain", "private"])
def test_a_batch_that_goes_through_the_network_a_few_images_at_a_time_makes_the_same_step(
    privacy: dict[str, object] | None,
) -> None:
    data = dataset(patients=24, images_per_patient=3).train
    views = {"augmentations": ["flip", "shift"], "batch_size": 16}
    updates, most = [], []
    for more in ({}, {"micro_batch": 5}):
        of = study(training=views | more) if privacy is None else study(training=views | more, privacy=privacy)
        built, plan, seen = build(of), plan_privacy(of, data.patient_count), [0]
        built.network.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(len(given[0])))
        start = networks.read_vector(networks.build(of))
        done = train(LocalRun(of, built.network, built.layout, data, plan, STREAM), start, 1)
        updates.append(done.update)
        most.append(max(seen))
    assert most[0] > 5 >= most[1]
    assert np.abs(updates[0] - updates[1]).max() < 1e-5 * np.abs(updates[0]).max()


def test_the_shared_sum_of_a_batch_in_parts_is_that_of_the_batch() -> None:
    data = dataset(patients=24, images_per_patient=3).train
    sums = []
    parts: tuple[dict[str, int], ...] = ({}, {"micro_batch": 4})
    for more in parts:
        training = {key: value for key, value in STUDY["training"].items() if key != "local_epochs"}
        sections = {"privacy": SHARED, "aggregation": {"min_hospitals": 3, "secure": True}}
        of = Study.model_validate(STUDY | sections | {"training": training | more})
        built, plan = build(of), plan_privacy(of, data.patient_count)
        run = LocalRun(of, built.network, built.layout, data, plan, STREAM)
        assert isinstance(of.privacy, DistributedDpSgd)
        form = NoisySum.of(of, of.privacy, 3, 3)
        sums.append(gradient_sum(run, networks.read_vector(networks.build(of)), 1, form).view(np.int32))
    assert np.abs(sums[0].astype(np.int64) - sums[1]).max() <= 2 * data.patient_count  # a level of rounding each


def test_a_patient_is_never_divided_among_the_parts_of_a_batch() -> None:
    assert list(_together([3, 1, 2, 9, 1], 4)) == [[3, 1], [2], [9], [1]]
    assert list(_together([3, 1], None)) == [[3, 1]]


def test_micro_batches_of_a_network_that_mixes_its_images_are_refused() -> None:
    of = study(training={"micro_batch": 2})
    built = build(of)
    mixing = nn.Sequential(nn.BatchNorm2d(1), built.network)
    run = LocalRun(of, mixing, built.layout, dataset().train, None, STREAM)
    with pytest.raises(ModelError, match="batch normalisation"):
        _begin(run, networks.read_vector(networks.build(of)), 1)
