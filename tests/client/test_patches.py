"""Patches lie where a structure is, and anywhere, and hold what the volume holds there."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround_client.tasks.patches import Extent, corner_of, cut
from wardround_common.randomness import Stream, insecure_stream


def corners(outline: np.ndarray, window: Extent, count: int, stream: Stream) -> np.ndarray:
    """Draw where patches begin, every other one around a structure, as training does."""
    structures = [np.argwhere(outline == number) for number in np.unique(outline[outline > 0])]
    found = [
        corner_of(structures if number % 2 == 0 else [], outline.shape, window, stream.child("patch", number))
        for number in range(count)
    ]
    return np.array(found, np.int64).reshape(count, 3)


extents = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=60, deadline=None)
@given(extents, extents, st.integers(0, 5), st.integers(0, 2**30))
def test_a_patch_holds_what_the_volume_holds_there_and_0_beyond(
    shape: tuple[int, int, int], window: tuple[int, int, int], count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.integers(1, 99, shape)
    outline = (rng.random(shape) < 0.05).astype(np.uint8)
    found = corners(outline, window, count, insecure_stream(seed, "patches"))
    assert found.shape == (count, 3)
    for corner in found:
        patch = cut(volume, corner, window)
        assert patch.shape == window
        for place in np.ndindex(window):
            at = tuple(int(each) for each in corner + place)
            within = all(0 <= each < extent for each, extent in zip(at, shape, strict=True))
            assert patch[place] == (volume[at] if within else 0)
        smaller = np.minimum(window, shape)  # as much of the volume as there can be
        assert np.count_nonzero(patch) == np.prod(smaller)


def test_every_other_patch_is_around_a_structure_and_each_structure_has_its_turn() -> None:
    outline = np.zeros((20, 40, 40), np.uint8)
    outline[3, 5, 5], outline[10:16, 20:30, 20:30] = 1, 2  # a single voxel, and 600
    found = corners(outline, (4, 8, 8), 80, insecure_stream(1, "patches"))
    seen = [set(np.unique(cut(outline, corner, (4, 8, 8)))) for corner in found]
    assert all(seen[::2][place] & {1, 2} for place in range(40))
    assert 10 < sum(1 in those for those in seen[::2]) < 30
    assert any(those == {0} for those in seen[1::2])


def test_patches_of_an_empty_volume_lie_anywhere_and_repeat_with_their_stream() -> None:
    outline = np.zeros((6, 50, 50), np.uint8)
    found = corners(outline, (6, 10, 10), 60, insecure_stream(2, "patches"))
    assert (found[:, 0] == 0).all()
    assert found[:, 1:].min() < 5
    assert found[:, 1:].max() > 35
    assert np.array_equal(found, corners(outline, (6, 10, 10), 60, insecure_stream(2, "patches")))


def test_a_smaller_volume_lies_in_the_middle_of_its_patch_as_windows_pad_it() -> None:
    volume = np.ones((1, 3, 4, 5), np.float32)  # one channel
    (corner,) = corners(np.zeros((3, 4, 5), np.uint8), (6, 4, 8), 1, insecure_stream(0, "patches"))
    patch = cut(volume, corner, (6, 4, 8))
    expected = np.pad(volume, ((0, 0), (1, 2), (0, 0), (1, 2)))
    assert np.array_equal(patch, expected)
