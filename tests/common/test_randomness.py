"""The stream is the cipher that it says, its numbers have the distribution that they claim, children do not meet."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from wardround_common import randomness
from wardround_common.randomness import Stream, insecure_stream


def test_words_are_the_chacha20_keystream_of_rfc_8439() -> None:
    # Appendix A.1, test vector 1: zero key, zero nonce, counter 0.
    assert Stream(bytes(32)).words(2).tobytes().hex() == "76b8e0ada0f13d90405d6ae55386bd28"


def test_words_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = insecure_stream(3).words(20_001)
    monkeypatch.setattr(randomness, "CHUNK_BYTES", 24)
    np.testing.assert_array_equal(insecure_stream(3).words(20_001), at_once)


def test_words_that_are_filled_in_are_those_that_are_returned() -> None:
    place = np.ones((3, 5), np.uint64)
    insecure_stream(3).fill(place)
    np.testing.assert_array_equal(place.ravel(), insecure_stream(3).words(15))


def test_uniform_numbers_are_uniform_below_one() -> None:
    draws = insecure_stream(4).uniform(100_000)
    assert draws.min() >= 0 < 1 - draws.max()
    assert stats.kstest(draws, "uniform").pvalue > 0.01


def test_a_permutation_has_every_place_once() -> None:
    order = insecure_stream(5).permutation(1000)
    assert sorted(order) == list(range(1000))
    assert order.tolist() != list(range(1000))


def test_several_permutations_are_those_drawn_one_after_the_other() -> None:
    counts = [1, 5, 0, 1, 200, 2]
    one, other = insecure_stream(5), insecure_stream(5)
    for together, alone in zip(one.permutations(counts), [other.permutation(count) for count in counts], strict=True):
        np.testing.assert_array_equal(together, alone)
    assert one.words(3).tobytes() == other.words(3).tobytes()
    assert one.permutations([]) == []


def test_children_are_told_apart_by_every_label_and_its_end() -> None:
    root = insecure_stream(6)
    names: list[tuple[str | int, ...]] = [("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", 11), ("a", 1, 1)]
    assert len({root.child(*name).words(2).tobytes() for name in names}) == len(names)


def test_drawing_from_a_stream_does_not_shift_its_children() -> None:
    one, two = insecure_stream(7), insecure_stream(7)
    one.words(100)
    assert one.child("noise").words(4).tobytes() == two.child("noise").words(4).tobytes()


def test_the_key_of_a_stream_is_never_printed() -> None:
    assert repr(Stream(bytes(range(32)))) == "Stream(…)"
