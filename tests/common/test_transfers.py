"""Parts of messages in bodies: nothing lost, nothing twice, small ones together, no body beyond the limit."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround_common.canonical import joined
from wardround_common.errors import MessageError
from wardround_common.messages.transfers import (
    GROUP_BYTES,
    groups,
    portions,
    read_pull,
    read_push,
    write_pull,
    write_push,
)

SIZES = st.lists(st.sampled_from([0, 300, 40_000, GROUP_BYTES, 3 * GROUP_BYTES]), max_size=12)


@given(SIZES)
@settings(max_examples=25)  # of up to 36 MB each
def test_each_content_travels_once_and_no_body_exceeds_the_limit_or_has_two_large_ones(sizes: list[int]) -> None:
    contents = {f"{number:064x}": bytes(size) for number, size in enumerate(sizes)}
    limit = 4 * GROUP_BYTES
    sent = groups(contents, limit)
    assert [name for group in sent for name in group] == list(contents)
    for group in sent:
        body = b"".join(write_push(bytes(700), {name: contents[name] for name in group}))
        assert len(body) <= limit
        assert sum(len(contents[name]) >= GROUP_BYTES for name in group) <= 1
        assert read_push(body) == (bytes(700), {name: contents[name] for name in group})


def test_the_small_parts_of_a_message_are_one_request() -> None:
    assert len(groups({f"{number:064x}": bytes(300) for number in range(20)}, 16 * GROUP_BYTES)) == 1


@given(st.lists(st.binary(max_size=9)), st.integers(1, 12))
def test_portions_are_a_body_in_its_order_and_of_one_size(body: list[bytes], size: int) -> None:
    made = list(portions([memoryview(piece) for piece in body], size))
    assert b"".join(made) == b"".join(body)
    assert all(len(portion) == size for portion in made[:-1])
    assert all(0 < len(portion) <= size for portion in made)


def test_names_come_back_as_they_were_asked() -> None:
    assert read_pull(b"".join(write_pull(b"head", ["a", "b"]))) == (b"head", ["a", "b"])


@pytest.mark.parametrize(
    "body",
    [
        joined(b"head", b"name"),
        joined(b"head", b"name", b"1", b"name", b"2"),
        joined(b"head", b"\xff", b"1"),
        joined(b"head", b"name", b"1")[:-1],
        b"\xff" * 8,
        b"short",
    ],
)
def test_a_body_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        read_push(body)


def test_a_body_of_empty_parts_is_refused_before_it_fills_the_memory() -> None:
    empty = bytes(8 * 100_000)  # 16 MiB of these were 400 MiB of views, in each of eight threads
    for read in (read_push, read_pull):
        tracemalloc.start()
        with pytest.raises(MessageError, match="more than"):
            read(empty)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_an_object_is_asked_for_once_in_a_body() -> None:
    with pytest.raises(MessageError, match="twice"):
        read_pull(b"".join(write_pull(b"head", ["a", "b", "a"])))
