"""Copies are found across groups, whatever was done to their grey values; neighbours in a series are none."""

from __future__ import annotations

import base64
import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from made_ultrasound import COPIES, ultrasound
from wardround_client.intake import duplicates
from wardround_client.intake.duplicates import CELLS, MOST_PAIRS, joined_patients, likeness, near_duplicates, near_pairs
from wardround_client.intake.instance import Instance

NEAR = 0.95


def instance(file: str, hashed: str, *, patient: str = "p", series: str = "", pixels: str = "") -> Instance:
    return Instance(
        file, patient, "", series, "", "MR", "", "", "", "", "8/8", 1, 1, 1, None, 1, pixels or file, hashed
    )


def numbers(hashed: str) -> NDArray[np.int64]:
    return np.frombuffer(base64.b64decode(hashed), np.int8).astype(np.int64)


def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Correlate two images' likenesses, slowly."""
    a, b = numbers(likeness(one)), numbers(likeness(other))
    return abs(int(a @ b)) / float(np.sqrt(float(a @ a) * float(b @ b)))


def smooth(seed: int, size: int = 100) -> NDArray[np.float64]:
    """Draw an image with structure of a few pixels, as images have."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-3, 4))
    return noise


def test_a_rescaled_noisy_copy_is_near_and_another_image_is_far() -> None:
    image = smooth(1)
    noisy = image * 3 + 7 + np.random.default_rng(2).normal(size=image.shape) * 0.1
    assert alike(image, noisy) >= NEAR
    assert alike(image, -noisy) >= NEAR  # as a negative
    assert alike(image, smooth(3)) < 0.4


@pytest.mark.parametrize("shape", [(16, 16), (128, 128), (512, 300), (130, 128), (9, 31)])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_the_short_sum_of_integers_describes_an_image_as_the_long_one_does(shape: tuple[int, int], kind: type) -> None:
    image = np.random.default_rng(4).integers(0, np.iinfo(kind).max, shape).astype(kind)
    assert likeness(image) == likeness(image.astype(np.float64))


def test_a_copy_at_half_the_size_is_nearer_than_any_other_image() -> None:
    image = smooth(1, 256)
    assert alike(image, image.reshape(128, 2, 128, 2).mean(axis=(1, 3))) >= NEAR


@pytest.fixture(scope="module")
def made() -> list[NDArray[np.uint8]]:
    return [ultrasound(patient, patient % 3) for patient in range(45)]


@pytest.mark.parametrize("kind", COPIES)
def test_near_copies_of_ultrasound_are_found(made: list[NDArray[np.uint8]], kind: str) -> None:
    for image in made[:12]:
        copy = COPIES[kind](image)
        if copy.shape == image.shape and kind not in ("half the size", "inverted"):
            assert np.corrcoef(image.ravel(), copy.ravel())[0, 1] > 0.97  # so it is a copy
        assert alike(image, copy) >= NEAR


def test_ultrasound_of_different_patients_does_not_match_although_sector_ruler_and_letters_do(
    made: list[NDArray[np.uint8]],
) -> None:
    instances = [instance(str(number), likeness(one), patient=str(number)) for number, one in enumerate(made)]
    assert near_duplicates(instances, range(len(made))) == []


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 100), st.integers(-1000, 1000)
)
def test_likeness_does_not_depend_on_scale_or_offset(image: NDArray[np.uint8], scale: int, offset: int) -> None:
    stretched = image.astype(np.int32) * scale + offset
    if not likeness(image.astype(np.int32)):
        assert not likeness(stretched)
    else:
        assert alike(image.astype(np.int32), stretched) > 0.999


@given(st.integers(0, 255), st.integers(1, 50), st.integers(1, 50))
def test_an_image_of_one_value_has_no_likeness(value: int, rows: int, columns: int) -> None:
    assert likeness(np.full((rows, columns), value, np.uint8)) == ""


def test_a_background_that_is_no_number_hides_no_copy() -> None:
    image = smooth(1)
    image[:9] = image.min()
    empty = image.copy()
    empty[:9] = np.nan
    assert likeness(empty) == likeness(image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
def test_floats_that_are_not_finite_have_no_likeness_or_an_honest_one(value: float) -> None:
    image = smooth(1)
    image[5, 5] = value
    assert likeness(image) == "" or numbers(likeness(image)).any()


def test_frames_and_colours_have_the_likeness_of_one_plane() -> None:
    image = (smooth(1) * 10).astype(np.int16)
    assert likeness(np.stack([smooth(5), image, smooth(6)])) == likeness(image)
    assert likeness(np.stack([image] * 3, axis=-1)) == likeness(image)


def hashed_of(cells: NDArray[np.int64]) -> str:
    return base64.b64encode(cells.clip(-127, 127).astype(np.int8).tobytes()).decode()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.integers(0, 2)), min_size=0, max_size=30),
    st.integers(0, 9),
)
def test_the_pairs_are_those_of_a_comparison_of_all_with_all(made: list[tuple[int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    bases = [np.zeros(CELLS, np.int64), *(rng.integers(-100, 101, (3, CELLS)))]
    instances = [
        instance(str(n), hashed_of(bases[base] + rng.integers(-spread, spread + 1, CELLS)) if base else "")
        for n, (base, spread, _) in enumerate(made)
    ]
    # A series each, so that groups alone decide.
    instances = [instance(i.file, i.likeness, series=i.file) for i in instances]
    groups = [group for _, _, group in made]
    expected = set()
    for (a, ga), (b, gb) in itertools.combinations(zip(instances, groups, strict=True), 2):
        if ga != gb and a.likeness and b.likeness:
            x, y = numbers(a.likeness), numbers(b.likeness)
            if int(x @ y) ** 2 * 10_000 >= 95**2 * int(x @ x) * int(y @ y):
                expected.add((a.file, b.file))
    assert {(a.file, b.file) for a, b in near_duplicates(instances, groups)} == expected


def drawn(kind: str, count: int, seed: int) -> list[Instance]:
    """Draw images: of noise, of one anatomy that all of them share, or of few values; some are near one before."""
    rng = np.random.default_rng(seed)
    base = {"noise": np.zeros(CELLS), "anatomy": rng.normal(size=CELLS) * 70, "coarse": rng.normal(size=CELLS) * 200}
    cells = base[kind] + rng.normal(size=(count, CELLS)) * (40 if kind == "noise" else 28)
    for place in range(1, count, 7):
        cells[place] = rng.choice([-1, 1]) * cells[rng.integers(place)] + rng.normal(size=CELLS) * rng.uniform(0, 25)
    return [instance(str(n), hashed_of(one.astype(np.int64)), series=str(n)) for n, one in enumerate(cells)]


def compared_slowly(images: list[Instance]) -> list[tuple[int, int]]:
    rows = np.stack([numbers(one.likeness) for one in images])
    products = rows @ rows.T
    squares = np.diag(products)
    near = 10_000 * products**2 >= 95**2 * squares * squares[:, None]
    return [(one, other) for one, other in np.argwhere(near).tolist() if one < other]


@pytest.mark.parametrize("kind", ["noise", "anatomy", "coarse"])
@pytest.mark.parametrize(
    ("few", "leading", "most"),
    [
        (0, 48, MOST_PAIRS),
        (0, 2, MOST_PAIRS),
        (0, 256, MOST_PAIRS),
        (0, 48, 15),
        (1024, 48, MOST_PAIRS),
        (1024, 48, 15),
    ],
)
def test_whatever_is_ruled_out_first_the_pairs_are_those_of_all_with_all(
    monkeypatch: pytest.MonkeyPatch, kind: str, few: int, leading: int, most: int
) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 64)
    monkeypatch.setattr(duplicates, "_FEW", few)
    monkeypatch.setattr(duplicates, "_LEADING", leading)
    monkeypatch.setattr(duplicates, "MOST_PAIRS", most)
    images = drawn(kind, 300, 5)
    expected = compared_slowly(images)
    assert len(expected) > 15
    assert near_pairs(images, range(300)) == expected[:most]


def test_only_new_images_are_compared_with_those_that_were_before() -> None:
    images = drawn("anatomy", 200, 6)
    images[3] = instance("3", "", series="3")
    expected = near_pairs(images, range(200))
    before = near_pairs(images[:90], range(90))
    assert 0 < len(before) < len(expected)
    assert sorted(before + near_pairs(images, range(200), 90)) == expected
    assert near_pairs(images, range(200), 200) == []


def test_neighbours_in_one_series_are_no_copies_and_the_same_pixels_are() -> None:
    slices = [likeness(smooth(1) + number * 0.1 * smooth(2)) for number in range(3)]
    inside = [instance(str(n), one, series="1.2") for n, one in enumerate(slices)]
    assert near_pairs(inside, range(3)) == []
    again = instance("again", slices[1], series="1.2", pixels="1")
    assert near_pairs([*inside, again], range(4)) == [(1, 3)]
    elsewhere = instance("elsewhere", slices[1], series="1.3")
    assert near_pairs([*inside, elsewhere], range(4)) == [(0, 3), (1, 3), (2, 3)]


def test_pictures_of_one_patient_in_one_folder_are_taken_for_a_series() -> None:
    hashed = likeness(smooth(1))
    film = [instance(f"a/{n}.png", hashed, patient="one") for n in range(2)]
    assert near_pairs(film, range(2)) == []
    other = [instance("b/1.png", hashed, patient="one"), instance("a/2.png", hashed, patient="two")]
    assert near_pairs([film[0], *other], range(3)) == [(0, 1), (0, 2), (1, 2)]


def test_patients_who_share_near_copies_are_joined_through_one_another_and_others_with_nobody() -> None:
    a, b, c = (likeness(smooth(seed)) for seed in (1, 2, 3))
    shown = [("one", a), ("two", a), ("two", b), ("three", b), ("four", c)]
    images = [instance(str(n), hashed, patient=name) for n, (name, hashed) in enumerate(shown)]
    joined = joined_patients(images, near_pairs(images, range(len(images))))
    assert joined == {"one": "one", "two": "one", "three": "one", "four": "four"}


def test_two_thousand_images_are_compared_at_once() -> None:
    rng = np.random.default_rng(0)
    hashes = [hashed_of(rng.integers(-127, 128, CELLS)) for _ in range(2000)]
    near = hashed_of(numbers(hashes[7]) + rng.integers(-5, 6, CELLS))
    instances = [instance(str(number), hashed, series=str(number)) for number, hashed in enumerate([*hashes, near])]
    assert [(a.file, b.file) for a, b in near_duplicates(instances, range(2001))] == [("7", "2000")]


def test_a_long_series_and_a_folder_of_equal_images_are_compared_in_little_time_and_memory() -> None:
    hashed = likeness(smooth(1))
    film = [instance(str(n), hashed, series="1.2") for n in range(1500)]  # as of a dynamic study
    tracemalloc.start()
    assert near_pairs(film, range(len(film))) == []
    equal = [instance(str(n), hashed, series=str(n), patient=str(n)) for n in range(1500)]
    assert len(near_pairs(equal, range(len(equal)))) == MOST_PAIRS
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 << 20


def test_a_comparison_holds_less_than_two_kilobytes_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wider than a likeness and its first coordinates is made of a few at a time, here of fewer."""
    monkeypatch.setattr(duplicates, "_PART", 128)
    monkeypatch.setattr(duplicates, "_SAMPLE", 256)
    rng, peaks = np.random.default_rng(0), []
    for count in (1000, 2000):
        hashes = [hashed_of(rng.integers(-127, 128, CELLS)) for _ in range(count)]
        instances = [instance(str(number), hashed, series=str(number)) for number, hashed in enumerate(hashes)]
        tracemalloc.start()
        near_pairs(instances, range(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1000 * 2048
