"""Fixed features of an image's halves, and the directions that made images give: what they see, and what travels."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load

from examples import study
from wardround_client import networks
from wardround_client.networks.halves import KEPT, MOST, OWN, HalvesFeatures
from wardround_client.networks.wavelets import GROUPS
from wardround_client.prior import learning
from wardround_client.prior.learning import Learnt, Lesson, learn
from wardround_client.prior.sections import sections
from wardround_common.errors import StudyError

LESSON = Lesson("halves", size=16, steps=3)


def learnt(lesson: Lesson = LESSON) -> Learnt:
    return learn(lesson, lambda step, steps, loss: None)


@pytest.fixture(scope="module")
def prior() -> Learnt:
    return learnt()


def body(*spots: tuple[int, int], moved: int = 0) -> torch.Tensor:
    """Return a round body (1, 1, 64, 64) with brighter spots at these rows and columns."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = 0.4 * (((y - 31.5) ** 2 + (x - 31.5) ** 2).sqrt() < 22)
    for row, column in spots:
        image = image + 0.4 * (((y - row) ** 2 + (x - column) ** 2).sqrt() < 5)
    return image.roll(moved, 1).expand(1, 1, 64, 64)


def halves_of(images: torch.Tensor) -> torch.Tensor:
    """Return the features of one image that compare its halves."""
    first = sum(GROUPS)
    return HalvesFeatures(1)(images)[0, first : first + OWN[0]]


def test_a_spot_in_one_half_is_seen_and_one_in_each_is_not() -> None:
    assert float(halves_of(body((30, 20))).max()) > 0.5
    assert float(halves_of(body((30, 20), (30, 43))).abs().max()) < 1e-3
    assert float(halves_of(body()).abs().max()) < 1e-3


def test_halves_are_those_of_the_body_wherever_it_lies() -> None:
    assert torch.allclose(halves_of(body((30, 20))), halves_of(body((30, 20), moved=5)), atol=1e-2)


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (17, 3), (100, 1)])
def test_features_are_finite_for_every_size_and_a_black_image(size: int, channels: int) -> None:
    images = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(2))
    images[1] = 0
    features = HalvesFeatures(channels)
    found = features(images)
    assert found.shape == (2, features.count)
    assert torch.isfinite(found).all()


def test_half_of_the_sections_hold_a_spot_and_images_are_from_0_to_1() -> None:
    images, planted = sections(256, 16, torch.Generator().manual_seed(3))
    assert images.shape == (256, 1, 16, 16)
    assert torch.isfinite(images).all()
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert 96 < int(planted.sum()) < 160


@pytest.mark.slow
def test_made_images_give_directions_of_half_even_spreads_and_a_classifier_to_begin_with(prior: Learnt) -> None:
    network = networks.construct("halves", 1, 2, "group", seed=0)
    assert not network(torch.rand(2, 1, 16, 16)).any()  # from a seed the classifier is zero
    network.load_state_dict(load(prior.content))
    images, planted = sections(256, 16, torch.Generator().manual_seed(4))
    with torch.no_grad():
        directions, scores = network.directions(network.features(images)), network(images).diff(dim=1)[:, 0]
    assert float(directions.abs().max()) <= MOST
    spreads = directions.std(0)
    assert 0.5 < float(spreads.square().mean()) < 2
    assert 1.2 < float(spreads[-1] / spreads[0]) < 5  # from the least to the greatest; one if they were all even
    assert float((scores[planted == 1][:, None] > scores[planted == 0][None]).float().mean()) > 0.6


@pytest.mark.slow
def test_with_the_head_alone_a_handful_of_numbers_travel(prior: Learnt) -> None:
    network = networks.build(study(model={"network": "halves", "train": "head"}))
    assert networks.layout_of(network).shapes == ((2, KEPT), (2,))
    assert {"project.weight", "project.bias", "classify.weight", "classify.bias"} == set(load(prior.content))


@pytest.mark.slow
def test_who_waits_is_told_how_many_images_are_needed_and_not_how_many_steps_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning, "COMPUTED", 128)
    told: list[tuple[int, int]] = []
    learn(LESSON, lambda step, steps, loss: told.append((step, steps)))
    assert told == [(1, 2), (2, 2)]


def test_too_few_made_images_are_refused() -> None:
    with pytest.raises(StudyError, match="halves needs 64 made images or more"):
        learnt(Lesson("halves", size=16, steps=3, batch=16))


@pytest.mark.slow
def test_the_same_lesson_gives_the_same_bytes(prior: Learnt) -> None:
    assert learnt().content == prior.content
