"""Copies are found across groups, whatever was done to their grey values; images of one value are none."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from wardround_client.duplicates import LIKENESS_BITS, NEAR_BITS, likeness, near_duplicates
from wardround_client.instance import Instance


def instance(file: str, hashed: int) -> Instance:
    return Instance(file, "p", "", "", "", "MR", "", "", "", "", "8/8", 1, 1, 1, None, 1, "", hashed)


def smooth(seed: int, size: int = 100) -> NDArray[np.float64]:
    """Draw an image with structure of a few pixels, as images have."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-3, 4))
    return noise


def bits_apart(one: NDArray[Any], other: NDArray[Any]) -> int:
    return (likeness(one) ^ likeness(other)).bit_count()


def test_a_rescaled_noisy_copy_is_near_and_another_image_is_far() -> None:
    image = smooth(1)
    noisy = image * 3 + 7 + np.random.default_rng(2).normal(size=image.shape) * 0.1
    assert bits_apart(image, noisy) <= NEAR_BITS
    assert bits_apart(image, smooth(3)) > 8 * NEAR_BITS


def test_a_copy_at_half_the_size_is_nearer_than_any_other_image() -> None:
    image = smooth(1, 256)
    half = image.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert bits_apart(image, half) <= 3 * NEAR_BITS


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 100), st.integers(-1000, 1000)
)
def test_likeness_does_not_depend_on_scale_or_offset(image: NDArray[np.uint8], scale: int, offset: int) -> None:
    # Integers keep float32 sums exact, so that ties stay ties.
    stretched = image.astype(np.int32) * scale + offset
    assert bits_apart(image.astype(np.int32), stretched) <= NEAR_BITS


@given(st.integers(0, 255), st.integers(1, 50), st.integers(1, 50))
def test_an_image_of_one_value_has_no_likeness(value: int, rows: int, columns: int) -> None:
    assert likeness(np.full((rows, columns), value, np.uint8)) == 0


def test_frames_and_colours_have_the_likeness_of_one_plane() -> None:
    image = (smooth(1) * 10).astype(np.int16)
    assert likeness(np.stack([smooth(5), image, smooth(6)])) == likeness(image)
    assert likeness(np.stack([image] * 3, axis=-1)) == likeness(image)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.integers(0, 9), max_size=4), st.integers(0, 2)), min_size=0, max_size=30
    )
)
def test_the_pairs_are_those_of_a_comparison_of_all_with_all(made: list[tuple[int, set[int], int]]) -> None:
    bases = [0, *(int(np.random.default_rng(seed).integers(1, 2**62)) << 190 for seed in range(3))]
    instances = [
        instance(str(number), bases[base] ^ sum(1 << bit for bit in flips))
        for number, (base, flips, _) in enumerate(made)
    ]
    groups = [group for _, _, group in made]
    expected = {
        (a.file, b.file)
        for (a, ga), (b, gb) in itertools.combinations(zip(instances, groups, strict=True), 2)
        if ga != gb and a.likeness and b.likeness and (a.likeness ^ b.likeness).bit_count() <= NEAR_BITS
    }
    assert {(a.file, b.file) for a, b in near_duplicates(instances, groups)} == expected


def test_two_thousand_images_are_compared_at_once() -> None:
    rng = np.random.default_rng(0)
    hashes = [int.from_bytes(rng.bytes(LIKENESS_BITS // 8), "big") for _ in range(2000)]
    instances = [instance(str(number), hashed) for number, hashed in enumerate([*hashes, hashes[7] ^ 0b101])]
    assert [(a.file, b.file) for a, b in near_duplicates(instances, range(2001))] == [("7", "2000")]
