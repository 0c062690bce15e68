"""A hospital's checks of made images find what looks unlike, what is missing, and what is a copy of a patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from wardround_client.generation.checking import (
    area,
    auroc,
    by_patient,
    closest_of,
    coverage_and_density,
    features_of,
    frechet,
    nearer_to,
)
from wardround_client.generation.pairs import drawn_pairs

RNG = np.random.default_rng(3)
PATIENTS = np.arange(40)


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 6))


def test_the_distance_of_distributions_is_that_by_the_root_of_a_product_and_stays_a_number_with_few_images() -> None:
    one, other = images(40, 1), images(30, 2) * 2 + 1
    covariances = np.cov(one.T), np.cov(other.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    apart = np.square(one.mean(0) - other.mean(0)).sum()
    assert frechet(one, other) == pytest.approx(apart + np.trace(covariances[0] + covariances[1] - 2 * root))
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet(one[:4], other[:4]) > 0  # fewer images than features


def test_coverage_and_density_are_those_of_a_plain_count() -> None:
    patients, made = images(20, 1), images(20, 2) * 0.5
    covered, dense = 0, 0
    for row in patients:
        radius = sorted(float(np.linalg.norm(row - other)) for other in patients)[5]
        near = sum(float(np.linalg.norm(row - one)) < radius for one in made)
        covered, dense = covered + (near > 0), dense + near
    assert coverage_and_density(patients, made) == pytest.approx((covered / 20, dense / 100))
    assert coverage_and_density(patients, made + 100) == (0, 0)
    one_place = np.repeat(patients[:1], 20, axis=0)
    assert coverage_and_density(patients, one_place)[0] < 0.5  # the same image again and again covers few


def test_copies_of_training_patients_lie_beyond_what_chance_gives_and_new_images_within() -> None:
    train, test = images(40, 1), images(40, 2)
    copies = train[np.arange(80) % 40] + 0.01 * images(80, 3)
    part, (low, high) = nearer_to(copies, train, PATIENTS, test, PATIENTS + 40, np.random.default_rng(0))
    assert part > high
    assert low < 0.5 < high
    part, (low, high) = nearer_to(images(80, 4), train, PATIENTS, test, PATIENTS + 40, np.random.default_rng(0))
    assert low <= part <= high


def test_one_blurred_image_that_is_nearest_to_all_is_no_sign_of_a_copy() -> None:
    train, test = images(40, 1), images(40, 2)
    train[0] = 0  # where all made images are
    part, (low, high) = nearer_to(0.01 * images(80, 3), train, PATIENTS, test, PATIENTS + 40, np.random.default_rng(0))
    assert part == 1
    assert (low, high) == (0, 1)


def test_the_closest_made_image_is_the_copy_and_is_told_beside_other_patients_images() -> None:
    train, made = images(40, 1), images(30, 2)
    made[7] = train[5] + 1e-3
    places, closest = closest_of(made, train, PATIENTS)
    assert (places[0], closest[0].number) == (5, 8)
    assert closest[0].distance < 0.01 < closest[0].usual
    twice = np.concatenate([train, train + 1e-6])  # a second image of each patient is no other patient
    assert closest_of(made, twice, np.tile(PATIENTS, 2))[1][0].usual == pytest.approx(closest[0].usual, abs=1e-4)


@pytest.mark.parametrize("twins", [1, 20])
@pytest.mark.parametrize("apart", [0, 0.01])
def test_a_copy_of_a_picture_that_is_stored_under_two_identifiers_is_the_closest(twins: int, apart: float) -> None:
    once = images(20, 1)
    train = np.concatenate([once, once[:twins] + apart])
    made = np.concatenate([images(30, 2), once[:1] + 0.01, once[19:] + 0.03])
    places, closest = closest_of(made, train, np.arange(len(train)))
    assert (closest[0].number, closest[1].number, places[1] % 20) == (31, 32, 19)
    assert closest[0].ratio < 0.03
    assert min(one.ratio for one in closest[2:]) > 0.3


def test_a_copy_where_all_patients_look_alike_has_a_figure_and_a_picture() -> None:
    train = np.repeat(images(1, 1), 40, axis=0)
    made = np.concatenate([images(10, 2), train[:1]])
    places, closest = closest_of(made, train, PATIENTS)
    assert closest[0].usual == 0
    assert [one.ratio for one in closest] == [0, *[np.inf] * 7]
    pixels = np.zeros((1, 16, 16), np.float32)
    assert drawn_pairs(closest, [(pixels, pixels)] * len(places)).startswith(b"\x89PNG")


def test_a_member_scores_higher_by_the_area_under_the_curve_of_patients() -> None:
    scores, patients = np.array([1.0, 3.0, 5.0, 0.0]), np.array([0, 0, 1, 2])
    assert by_patient(scores, patients).tolist() == [2.0, 5.0, 0.0]
    assert area(np.array([2.0, 5.0]), np.array([0.0, 2.0])) == (1 + 0.5 + 2) / 4
    told = auroc(RNG.normal(1, 1, 40), RNG.normal(0, 1, 40), np.random.default_rng(0))
    assert told.value is not None
    assert told.low is not None
    assert told.low < told.value < 1


def test_images_are_compared_by_features_that_nobody_trained() -> None:
    pixels = RNG.random((3, 1, 16, 16)).astype(np.float32)
    assert np.array_equal(features_of(pixels), features_of(pixels[::-1])[::-1])
    assert features_of(pixels).shape == (3, 157)
