"""Gradient inversion: it reads an image from a bare update, and nothing from one that is noised or masked."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from examples import DP, study
from wardround_client.training.local_work import PrivacyPlan
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_simulation.attacks.inversion import (
    InversionReport,
    _update,
    attack,
    attacks_own,
    phantom,
    psnr_db,
    ssim,
)


@pytest.fixture(scope="module")
def report() -> InversionReport:
    of = study(privacy=DP, model={"network": "resnet18"})  # whose own update is not attacked
    plan = PrivacyPlan(delta=1e-5, noise_multiplier=0.6, sampling_rate=0.1, steps_a_round=5)
    return attack(of, plan, insecure_stream(1), lambda done, of: None, iterations=200)


@pytest.mark.slow
def test_a_bare_update_shows_the_image(report: InversionReport) -> None:
    assert report.inversions[0].seen == "the bare update"
    assert report.inversions[0].psnr_db > 30
    assert report.inversions[0].ssim > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("place", [1, 2])
def test_a_noised_and_a_masked_update_show_nothing(report: InversionReport, place: int) -> None:
    inversion = report.inversions[place]
    assert ("noise" in inversion.seen) == (place == 1)
    assert inversion.psnr_db < 10
    assert abs(inversion.ssim) < 0.1


@pytest.mark.slow
def test_a_sum_shows_less_than_a_bare_update_and_more_than_a_masked_one(report: InversionReport) -> None:
    bare, _, masked, total = (inversion.psnr_db for inversion in report.inversions)
    assert masked < total < bare


@pytest.mark.slow
def test_without_a_plan_the_noise_is_left_out_and_the_studys_own_network_is_attacked() -> None:
    seen = [i.seen for i in attack(study(), None, insecure_stream(1), lambda done, of: None, iterations=2).inversions]
    assert len(seen) == 4
    assert not any("noise" in words for words in seen)
    assert "small-cnn" in seen[-1]


def test_what_is_attacked_is_one_gradient_however_many_steps_a_study_makes_in_a_round() -> None:
    tables = study().tables(nulls=False)
    del tables["training"]["local_epochs"]
    tables["training"]["local_steps"] = 5
    updates = []
    for of in (study(), Study.model_validate(tables)):
        network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 2))  # which one step does not teach all
        start, image = np.zeros(2 * 32 * 32 + 2, np.float32), phantom(insecure_stream(1)) * 0.01
        updates.append(_update(of, network, start, image, None, insecure_stream(2)))
    assert np.array_equal(*updates)


def test_a_network_for_several_images_is_attacked_by_no_single_one() -> None:
    assert attacks_own(study())
    assert not attacks_own(study(data={"record": "patient", "bag_size": 4}))


def test_likeness_is_full_for_the_same_image_and_none_for_another() -> None:
    one, other = phantom(insecure_stream(1)), insecure_stream(2).uniform(32 * 32).reshape(32, 32)
    assert ssim(one, one) == pytest.approx(1)
    assert abs(ssim(one, other)) < 0.1
    assert psnr_db(one, np.clip(one + 0.1, 0, 2)) == pytest.approx(20)
