"""Memory that is used again: never while anybody can see it, and bounded."""

from __future__ import annotations

import errno
import gc
import mmap
import random
import threading

import numpy as np
import pytest

from wardround_common import buffers
from wardround_common.buffers import room, vacant

MIB = 2**20


@pytest.fixture(autouse=True)
def nothing_free(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    monkeypatch.setattr(buffers, "_FREE", {})


def free_bytes() -> int:
    return sum(used for free in buffers._FREE.values() for _, used, _ in free)


def place(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def test_what_is_free_is_used_again_for_another_length_of_the_same_class() -> None:
    first = room(5 * MIB)
    where = place(first)
    del first
    second = room(5 * MIB + 1)
    assert place(second) == where
    assert len(second) == 5 * MIB + 1
    assert room(5 * MIB) != second


@pytest.mark.parametrize(
    "seen",
    [
        lambda view: view[3:10],
        lambda view: np.frombuffer(view, np.uint8),
        lambda view: np.frombuffer(view, np.uint32, 100, 8)[50:],
        lambda view: np.frombuffer(view, np.uint8).view("<u4").reshape(2, -1)[1].T,
        lambda view: memoryview(np.frombuffer(view, np.uint8)[7:])[1:].toreadonly(),
    ],
)
def test_memory_is_not_given_out_while_any_view_of_it_is_left(seen: object) -> None:
    view = room(2 * MIB)
    np.frombuffer(view, np.uint8)[:] = 1
    left = seen(view)  # type: ignore[operator]
    del view
    gc.collect()
    assert free_bytes() == 0
    np.frombuffer(room(2 * MIB), np.uint8)[:] = 2
    assert set(np.asarray(left).ravel().view(np.uint8).tolist()) == {1}
    del left
    assert free_bytes() == 4 * MIB  # with the other one


def test_a_vector_keeps_its_numbers_until_the_last_part_of_it_is_gone() -> None:
    vector = vacant(MIB, "<u4")
    vector[:] = np.arange(MIB)
    part = vector[MIB // 2 :]
    del vector
    others = [vacant(MIB, "<u4") for _ in range(3)]
    for other in others:
        other.fill(7)
    assert np.array_equal(part, np.arange(MIB // 2, MIB))


def test_threads_never_share_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_FREE", {})  # what tests before this one left
    broken: list[str] = []

    def work(number: int) -> None:
        chance, held = random.Random(number), []
        for turn in range(150):
            vector = vacant(chance.choice([MIB, MIB + 5, 2 * MIB]), np.uint8)
            mark = (number * 31 + turn) % 251
            vector[:: 2**16] = mark
            held.append((vector, mark))
            if len(held) > 3:
                old, was = held.pop(chance.randrange(3))
                if not (old[:: 2**16] == was).all():
                    broken.append(f"thread {number}, turn {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
    # Of each of the two sizes never more than four threads hold: what they keep, and the last one that they let go.
    assert all(len(free) <= 4 * 5 for free in buffers._FREE.values())


def test_no_more_than_a_bound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "KEPT_BYTES", 5 * MIB)
    held = [room(2 * MIB) for _ in range(4)]
    held.clear()
    assert free_bytes() == 4 * MIB


def test_what_was_free_longest_makes_room_for_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a coordinator that once served a study of another size would keep that one's memory for good."""
    monkeypatch.setattr(buffers, "KEPT_BYTES", 7 * MIB)
    earlier = [room(2 * MIB) for _ in range(3)]
    earlier.clear()
    room(4 * MIB)
    assert {size: len(free) for size, free in buffers._FREE.items()} == {2 * MIB: 1, 4 * MIB: 1}
    assert len(room(8 * MIB)) == 8 * MIB  # more than is kept
    assert free_bytes() == 6 * MIB


def test_small_memory_is_the_allocators_and_none_is_no_error() -> None:
    vacant(buffers.SMALLEST - 1, np.uint8)
    assert len(room(0)) == 0
    assert buffers._FREE == {}


def test_a_kernel_that_takes_no_advice_gives_memory_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is built without large pages refuses to be asked for them."""

    class Unadvised(mmap.mmap):
        def madvise(self, option: int, start: int = 0, length: int | None = None) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Unadvised)
    first = room(2 * MIB)
    where = place(first)
    del first
    assert place(room(2 * MIB)) == where


def test_more_memory_than_the_system_has_is_an_error_of_memory_and_leaves_nothing() -> None:
    with pytest.raises(MemoryError):
        room(2**60)
    gc.collect()
    assert buffers._FREE == {}


def test_what_fits_but_not_as_a_power_of_two_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", full)
    assert len(room(2 * MIB + 1)) == 2 * MIB + 1
