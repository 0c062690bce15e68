"""What is done for a card, seen without one: nothing is computed across devices, and no step waits for the card.

The card is a pretended one (``pretend_card``), whose numbers the CPU computes: so they are compared as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from examples import DP, STUDY
from one_step import MECHANISMS, of, runs, step
from pretend_card import CUDA, MixedDevicesError, WaitError, pretend_card
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_client.training.bookkeeping import BookKeeping
from wardround_client.training.local_work import LocalRun, _Round, plan_privacy, train
from wardround_client.training.supply import Batch
from wardround_common.errors import DeviceError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

NEAR = 1e-5
"""Of the largest number of an update: what two orders of adding make of float32."""
TINY = {"tiny-cnn": (False, False), "tiny-unet": (True, False), "tiny-vae": (False, True)}
TASKS = [
    (network, task)
    for network, kind in TINY.items()
    for task, local in LOCAL_TASKS.items()
    if (local.task.dense, local.task.generates) == kind
]


def changed(**sections: dict[str, Any]) -> Study:
    """Return the small study with some keys of some sections set otherwise, and two steps a round."""
    tables = {name: STUDY.get(name, {}) | sections.get(name, {}) for name in {*STUDY, *sections}}
    if "privacy" in sections:
        tables["privacy"] = sections["privacy"]
    tables["training"] = {"batch_size": 8} | tables["training"] | {"local_steps": 2}
    tables["training"]["local_epochs"] = None
    tables = {name: {key: value for key, value in of.items() if value is not None} for name, of in tables.items()}
    return Study.model_validate(tables)


def round_of(
    study: Study, examples: Examples, device: str, hook: Callable[..., None] | None = None
) -> NDArray[np.float32]:
    built, plan = build(study, device), plan_privacy(study, examples.patient_count)
    if hook is not None:
        built.network.register_forward_hook(hook)
    start = networks.read_vector(networks.build(study))
    return train(LocalRun(study, built.network, built.layout, examples, plan, insecure_stream(0, "a")), start, 1).update


def some(study: Study, patients: int = 10) -> Examples:
    """Return records of noise of a study's shape, one or two a patient."""
    records = patients + patients // 2
    data, local = study.data, LOCAL_TASKS[study.task.name]
    shape = (records, data.inputs, *networks.places_of(data), *data.extent)
    images = insecure_stream(2, "images").uniform(int(np.prod(shape))).astype(np.float32).reshape(shape)
    targets = local.noise(study.task, records, tuple(data.extent)).numpy()
    return Examples(images, np.arange(records), targets, np.arange(records) % patients)


ALL_VIEWS = ["flip", "shift", "rotate", "scale", "intensity", "elastic", "shading", "blur", "noise"]
TURNS: dict[str, dict[str, dict[str, Any]]] = {
    "views": {"training": {"augmentations": ALL_VIEWS}},
    "views, private": {"training": {"augmentations": ALL_VIEWS}, "privacy": DP | {"images_per_patient": 2}},
    "parts": {"training": {"micro_batch": 3}},
    "parts, private": {"training": {"micro_batch": 3}, "privacy": DP | {"images_per_patient": 2}},
    "adamw": {"training": {"optimiser": "adamw", "weight_decay": 0.01}, "privacy": DP},
    "momentum": {"training": {"momentum": 0.9, "weight_decay": 0.01}},
    "held back": {"training": {"strategy": "fedprox", "proximal_mu": 0.1}, "privacy": DP},
    "weights of classes": {"training": {"class_weights": [1.0, 3.0], "focal_gamma": 2.0}},
    "bags": {"data": {"record": "patient", "bag_size": 3}, "privacy": DP},
    "recurrent bags": {"data": {"record": "patient", "bag_size": 3}, "model": {"pooling": "recurrent"}, "privacy": DP},
    "slices": {"data": {"record": "slice"}, "privacy": DP},
    "latent diffusion": {
        "task": {"name": "generation", "classes": ["a", "b"], "latent": 4, "beta": 1.0, "sampler": "diffusion"},
        "model": {"network": "tiny-vae"},
        "privacy": DP,
    },
}


def agrees(turn: str, free: int | None) -> None:
    study = changed(**TURNS[turn])
    examples = some(study)
    expected = round_of(study, examples, "cpu")
    with pretend_card(says_free=free) as card, card.strictly_between(2):
        found = round_of(study, examples, "cuda:0")
    assert np.abs(found - expected).max() <= NEAR * np.abs(expected).max()


def test_a_private_step_on_a_card_gives_the_cpus_numbers_and_does_not_wait() -> None:
    agrees("views, private", None)


@pytest.mark.slow
@pytest.mark.parametrize("turn", TURNS)
def test_every_turn_of_training_on_a_card_gives_the_cpus_numbers_and_no_step_waits(turn: str) -> None:
    for free in (None, 0):
        agrees(turn, free)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("network", "task"), TASKS)
def test_every_task_on_a_card_gives_the_cpus_numbers_and_no_step_waits(network: str, task: str, mechanism: str) -> None:
    shared = mechanism == "shared"
    study = of(network, task, mechanism, 16, **({} if shared else {"local_epochs": 2.0}))
    expected = step(study).astype(np.float64)
    with pretend_card() as card:
        if shared:  # one step, whose gradients are read patient by patient
            found = step(study, "cuda:0")
            assert sum("copies from the card" in one for one in card.waits) == 3  # of two patients, and the first model
        else:
            with card.strictly_between(2):
                found = step(study, "cuda:0")
    assert np.abs(found - expected).max() <= (2 if shared else NEAR * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("network", ["attention-unet", "basic-unet", "convnext"])
def test_larger_networks_mix_no_devices_and_let_no_step_wait(network: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's imports speak of its optional parts
        kind, made = networks.find(network), networks.construct(network, 1, 3, "group", seed=0)
        size = next(size for size in (16, 32, 64) if runs(made, size))
        task = next(
            task
            for task, local in LOCAL_TASKS.items()
            if (local.task.dense, local.task.generates) == (kind.dense, kind.generates)
        )
        study = of(network, task, "local", size, local_epochs=2.0)
        with pretend_card(numbers=False) as card, card.strictly_between(2):
            step(study, "cuda:0")


def planted(work: Callable[[torch.Tensor], object]) -> Callable[..., None]:
    """Return what a network is to do with its output besides what it does."""
    return lambda network, given, output: (work(output), None)[1]


@pytest.mark.parametrize(
    "work",
    [
        lambda output: output.sum().item(),
        lambda output: output.detach().cpu(),
        lambda output: output[output > 0],
        lambda output: torch.ones(2).to(CUDA, non_blocking=True),  # from memory that is not pinned
    ],
    ids=["item", "cpu", "mask", "sent"],
)
def test_a_planted_wait_is_seen(work: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(WaitError), pretend_card() as card, card.strictly_between(2):
        round_of(changed(), some(changed()), "cuda:0", planted(work))


def test_a_planted_tensor_of_the_cpu_is_seen() -> None:
    with pytest.raises(MixedDevicesError, match="was given a tensor of the CPU"), pretend_card():
        round_of(changed(), some(changed()), "cuda:0", planted(lambda output: output + torch.ones(2)))


def test_a_pretended_card_has_no_more_memory_than_it_was_given_and_gives_back_what_is_freed() -> None:
    with pretend_card(room=4000) as card:
        one = torch.zeros(500, device=CUDA)
        view = one[:100]
        assert card.alive == card.peak == 2000
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.zeros(600, device=CUDA)
        del one
        assert card.alive == 2000  # the view keeps it
        del view
        assert card.alive == 0


def test_the_process_is_as_before_when_a_pretended_card_is_gone() -> None:
    with pretend_card():
        build(changed(), "cuda:0")
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.cuda.is_available()
    assert round_of(changed(), some(changed()), "cpu").any()


@pytest.mark.parametrize(
    "privacy",
    [pytest.param({"mechanism": "none"}, marks=pytest.mark.slow), DP | {"images_per_patient": 2}],
    ids=["plain", "private"],
)
def test_a_batch_that_is_larger_than_the_cards_memory_is_the_same_step_in_parts(privacy: dict[str, Any]) -> None:
    study = changed(privacy=privacy, training={"batch_size": 64})
    examples, most = some(study, 64), []
    expected = round_of(study, examples, "cpu")
    with pretend_card() as card:
        round_of(study, examples, "cuda:0")
        needed = card.peak
    with pretend_card(room=needed // 2, says_free=0):
        found = round_of(study, examples, "cuda:0", lambda network, given, output: most.append(len(output)))
    assert 1 < most[-1] <= 32
    assert np.abs(found - expected).max() <= NEAR * np.abs(expected).max()


def test_the_shared_sum_of_a_batch_that_is_larger_than_the_cards_memory_counts_nobody_twice() -> None:
    study = of("tiny-cnn", "classification", "shared", 16)
    expected, failed = step(study).astype(np.int64), []

    def fail_once(*_: object) -> None:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.MonkeyPatch.context() as patch:
        given, drops = BookKeeping.each, []

        def each(books: BookKeeping, losses: torch.Tensor, counts: Sequence[int]) -> Iterator[list[torch.Tensor]]:
            for gradient in given(books, losses, counts):
                yield gradient
                fail_once()
            drops.append(len(counts))

        patch.setattr(BookKeeping, "each", each)
        found = step(study).astype(np.int64)
    assert failed
    assert drops == [1, 1]
    assert np.abs(found - expected).max() <= 2  # a level of rounding each


def test_a_later_batch_that_alone_fills_the_card_ends_the_round_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    study, given, asked = changed(privacy=DP), _Round.batch, []

    def full_after_one_step(this: _Round, rows: NDArray[np.int64], step: int) -> Batch:
        asked.append(step)
        assert len(asked) < 9, "it is asked for again and again"
        if step:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return given(this, rows, step)

    monkeypatch.setattr(_Round, "batch", full_after_one_step)
    with pytest.raises(DeviceError, match="too little free memory"):
        round_of(study, some(study), "cpu")
    assert asked == [0, 1]


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_card_that_is_too_small_for_a_step_is_said_in_words(norm: str) -> None:
    study = changed(model={"norm": norm})
    with pretend_card() as card:
        build(study, "cuda:0")
        weights = card.peak
    with (
        pytest.raises(DeviceError, match="too little free memory") as caught,
        pretend_card(room=weights + (50_000 if norm == "group" else 500_000), says_free=0),
    ):
        round_of(study, some(study), "cuda:0")
    assert caught.value.exit_code == 9
