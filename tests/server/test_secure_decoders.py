"""Every decoder of a secure sum, and both who use them, over bytes that nobody honest sends: refused, never a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_secure_rounds import NAMES, Memory, consortium, fast, quiet

from consortium import RUN, Group
from wardround_common.errors import MessageError, RoundError, WardroundError
from wardround_common.messages.parameters import Layout
from wardround_common.messages.rounds import (
    Evaluated,
    EvaluateRequest,
    Failure,
    Parts,
    Prepared,
    PrepareRequest,
    TrainRequest,
    Update,
)
from wardround_common.secagg.exchange import (
    TAGGED_BYTES,
    Masked,
    Upload,
    read_confirmations,
    read_heads,
    read_opened,
    read_sealed,
)
from wardround_common.secagg.messages import Confirmation, ConfirmRequest, MaskedAnswer, Opened, OpenRequest
from wardround_common.secagg.terms import read_members
from wardround_server.rounds.course import run_study

STUDY = "a" * 64
SIZE, COUNTS, HOSPITALS = 3, 2, 2
VECTOR = np.zeros(SIZE, np.float32)
EMPTY = Masked(np.zeros(SIZE, "<u4"), np.zeros(COUNTS, "<u8"))
ENVELOPE = bytes(HOSPITALS * (42 * HOSPITALS + 28) + 32 + 32 * HOSPITALS + 96)

# Of each message one that is valid, and its parser.
MESSAGES: dict[str, tuple[Parts, Callable[[Parts], Any]]] = {
    "PrepareRequest": (PrepareRequest(STUDY, True, RUN).parts(), PrepareRequest.parse),
    "Prepared": (Prepared(STUDY, Layout(("w",), ((SIZE,),)), STUDY, VECTOR, bytes(96)).parts(), Prepared.parse),
    "TrainRequest": (TrainRequest(STUDY, 1, VECTOR, b"c").parts(), lambda parts: TrainRequest.parse(parts, SIZE)),
    "Update": (Update(STUDY, 1, VECTOR, 5, 2, 0.5, 0.1).parts(), lambda parts: Update.parse(parts, SIZE)),
    "EvaluateRequest": (
        EvaluateRequest(STUDY, 1, "validation", VECTOR, b"c").parts(),
        lambda parts: EvaluateRequest.parse(parts, SIZE),
    ),
    "Evaluated": (Evaluated(STUDY, 1, np.zeros(4, np.int64)).parts(), Evaluated.parse),
    "MaskedAnswer": (
        MaskedAnswer(STUDY, 1, Upload.read(EMPTY, ENVELOPE, HOSPITALS)).parts(),
        lambda parts: MaskedAnswer.parse(parts, SIZE, COUNTS, np.dtype("<u4"), HOSPITALS),
    ),
    "ConfirmRequest": (ConfirmRequest(STUDY, 1, "train", b"list").parts(), ConfirmRequest.parse),
    "Confirmation": (Confirmation(STUDY, 1, bytes(64)).parts(), Confirmation.parse),
    "OpenRequest": (OpenRequest(STUDY, 1, "evaluate", b"signed", b"sealed").parts(), OpenRequest.parse),
    "Opened": (Opened(STUDY, 1, b"shares").parts(), Opened.parse),
}
SCALARS = st.one_of(
    st.sampled_from([2**40, -1, -(2**63), 2**63, 2**64, 10**400, True, 0.0, float("nan"), float("inf"), "", "train"]),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.lists(st.integers(-(2**40), 2**40), max_size=3),
    st.lists(st.text("0123456789- ", max_size=6), max_size=3),
    st.just(b"bytes"),
)
TYPES = ["u1", "<u2", "<u4", "<u8", ">u4", "<i8", "<f4", ">f4", "<f8", "<c8", "?", "M8[s]", "U3", "S3"]


@st.composite
def arrays(draw: st.DrawFn, given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Draw an array that is not the given one: another type, another shape, other bytes."""
    match draw(st.integers(0, 4)):
        case 0:
            return np.zeros(draw(st.sampled_from([(), (0,), (1, SIZE), (SIZE + 1,), (2, 0)])), given.dtype)
        case 1:
            return np.zeros(given.shape, draw(st.sampled_from(TYPES)))
        case 2:
            return np.frombuffer(draw(st.binary(max_size=400)), np.uint8)
        case 3:
            start = draw(st.sampled_from([b"\xff" * 8, (2**40).to_bytes(8, "big"), (2**40).to_bytes(8, "little")]))
            return np.frombuffer(start + bytes(draw(st.integers(0, 300))), np.uint8)
        case _:
            return given[: draw(st.integers(0, len(given)))] if given.ndim else given


@st.composite
def spoilt(draw: st.DrawFn, whole: Parts) -> Parts:
    """Draw a message of which some fields and arrays are missing, others, or too many."""
    fields: dict[str, Any] = dict(whole.fields)
    contents: dict[str, Any] = dict(whole.arrays)
    for name in draw(st.lists(st.sampled_from([*fields, "another"]), max_size=3)):
        fields.pop(name, None)
        if draw(st.booleans()):
            fields[name] = draw(SCALARS)
    for name in draw(st.lists(st.sampled_from([*contents, "another"]), max_size=2)):
        before = contents.pop(name, np.zeros(4, np.uint8))
        if draw(st.booleans()):
            contents[name] = draw(arrays(before))
    return Parts(fields, contents)


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
@settings(max_examples=25)
def test_a_spoilt_message_is_refused_or_reads_as_what_it_says(name: str, data: st.DataObject) -> None:
    whole, parse = MESSAGES[name]
    parse(whole)
    try:
        again = parse(data.draw(spoilt(whole))).parts()
    except MessageError:
        return
    assert set(again.fields) <= set(whole.fields)  # nothing that no message has is carried on
    assert set(again.arrays) <= set(whole.arrays)


def envelopes(content: bytes) -> Iterator[Callable[[], object]]:
    yield lambda: read_members(content)
    for hospitals in (1, 5, 100):
        yield lambda hospitals=hospitals: read_heads(content, hospitals)  # type: ignore[misc]
        yield lambda hospitals=hospitals: read_confirmations(content, hospitals)  # type: ignore[misc]
        yield lambda hospitals=hospitals: read_sealed(content, range(hospitals), hospitals)  # type: ignore[misc]
        secrets = [(place, place) for place in range(hospitals)]
        yield lambda secrets=secrets: read_opened(content, secrets)  # type: ignore[misc]
        yield lambda hospitals=hospitals: Upload.read(EMPTY, content, hospitals)  # type: ignore[misc]


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("before", [b"", b"\0\1", b"\0\1\0\1a", b"\0\5\0"])
def test_a_length_of_2_to_40_is_refused_by_every_decoder(order: Any, before: bytes) -> None:
    for size in (6, 8, 16):
        for decode in envelopes(before + (2**40).to_bytes(size, order) + b"x"):
            with pytest.raises(MessageError):
                decode()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, list[tuple[str, Parts]]]:
    """Return hospitals and the questions that a whole run asked the first of them."""
    of = fast(rounds=1)
    memory = Memory(of, tmp_path_factory.mktemp("asked"))
    asked: list[tuple[str, Parts]] = []
    answer = type(memory.at["a"]).answer

    class Listening:
        def __init__(self, at: Any) -> None:
            self.at = at

        def __getattr__(self, name: str) -> Any:
            return getattr(self.at, name)

        def answer(self, kind: str, parts: Parts) -> Any:
            asked.append((kind, parts))
            return answer(self.at, kind, parts)

    first = memory.at["a"]
    memory.at["a"] = Listening(first)  # type: ignore[assignment]
    run_study(of, memory, quiet, None, consortium())
    memory.at["a"] = first
    return memory, asked


@given(data=st.data())
@settings(max_examples=100)
def test_a_hospital_refuses_a_spoilt_question_and_nothing_else_happens(
    hospital: tuple[Memory, list[tuple[str, Parts]]], data: st.DataObject
) -> None:
    memory, asked = hospital
    kind, whole = data.draw(st.sampled_from(asked))
    kept = {path: path.read_bytes() for path in memory.at["a"].desk.folder.iterdir()}  # type: ignore[union-attr]
    try:
        memory.at["a"].answer(kind, data.draw(spoilt(whole)))
    except WardroundError as error:
        assert error.kind in ("message", "version", "round")  # noqa: PT017  # some questions stay whole
    assert kept == {path: path.read_bytes() for path in memory.at["a"].desk.folder.iterdir()}  # type: ignore[union-attr]


@given(data=st.data())
@settings(max_examples=5)
def test_a_coordinator_leaves_out_a_hospital_whose_answers_are_spoilt_or_ends_the_run(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def alter(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        return data.draw(spoilt(answer)) if who == "b" and isinstance(answer, Parts) and kind != "prepare" else answer

    of = fast(rounds=1)
    try:
        final = run_study(of, Memory(of, tmp_path_factory.mktemp("spoilt"), alter), quiet, None, consortium())
    except RoundError:
        return
    assert final.history[0].answered in (tuple(NAMES), ("a", "c", "d"))
    assert np.isfinite(final.parameters).all()


# Each byte, each cut, each order


def flipped(content: bytes) -> Iterator[bytes]:
    for place in range(len(content)):
        yield content[:place] + bytes((content[place] ^ (1 << place % 8),)) + content[place + 1 :]


def shortened(content: bytes) -> Iterator[bytes]:
    yield from (content[:place] for place in range(0, len(content), 13))
    yield content + b"\0"
    yield content[1:]


def reordered(content: bytes, head: int, count: int) -> bytes:
    size = (len(content) - head) // count
    entries = [content[head + k * size : head + (k + 1) * size] for k in range(count)]
    return content[:head] + entries[1] + entries[0] + b"".join(entries[2:])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Group, dict[str, bytes]]:
    """Return hospitals whose sum over three of four is confirmed, and what the coordinator has for the first."""
    group = Group(tmp_path_factory.mktemp("opened"), "abcd")
    gathering = group.gathering()
    for name in "abc":
        gathering.add(name, group.upload(name))
    confirming = gathering.close()
    survivors = confirming.question()
    for name in "abc":
        confirming.add(name, group.desks[name].confirm("train", 1, survivors))
    opening = confirming.close()
    return group, {"survivors": survivors, "signed": opening.signatures(), "sealed": opening.sealed_for("a")}


def test_each_flipped_cut_or_reordered_cohort_is_refused(tmp_path: Path) -> None:
    from wardround_common.secagg.terms import write_members

    group = Group(tmp_path, "abc")
    cohort = write_members(group.members)
    swapped = write_members([group.members[1], group.members[0], group.members[2]])
    for wrong in (*flipped(cohort), *shortened(cohort), swapped):
        with pytest.raises(WardroundError):
            group.upload("a", cohort=wrong)
    assert not (tmp_path / "a" / "train.terms").exists()
    group.upload("a", cohort=cohort)


def test_each_flipped_cut_or_reordered_list_of_survivors_is_refused(tmp_path: Path) -> None:
    group = Group(tmp_path, "abcd")
    gathering = group.gathering()
    for name in "abc":
        gathering.add(name, group.upload(name))
    listed = gathering.close().question()
    entry = len(listed[2:]) // 3
    twice = (4).to_bytes(2, "big") + listed[2:] + listed[-entry:]
    beyond = (4).to_bytes(2, "big") + listed[2:] + bytes((4,)) + listed[-entry + 1 :]  # there are four, from 0 on
    altered = [*flipped(listed), *shortened(listed), reordered(listed, 2, 3), twice, beyond]
    for wrong in altered:
        with pytest.raises(MessageError):
            group.desks["a"].confirm("train", 1, wrong)
    assert not (tmp_path / "a" / "train.confirmed").exists()
    signature = group.desks["a"].confirm("train", 1, listed)
    for wrong in altered:  # once confirmed, only these survivors and uploads get a signature: the one they had
        try:
            assert group.desks["a"].confirm("train", 1, wrong) == signature
        except MessageError:
            continue


def test_each_flipped_cut_or_reordered_byte_of_an_opening_is_refused(opened: tuple[Group, dict[str, bytes]]) -> None:
    group, have = opened
    desk, signed, sealed = group.desks["a"], have["signed"], have["sealed"]
    right, dealt, given = desk.open("train", 1, signed, sealed), len(sealed) // 3, 2 * TAGGED_BYTES
    for place, wrong in enumerate(flipped(sealed)):  # what that one dealt is not used: zeros, which are no share of it
        start = place // dealt * given  # of each of the three a share of its self-mask and of its seed with d
        assert desk.open("train", 1, signed, wrong) == right[:start] + bytes(given) + right[start + given :]
    assert desk.open("train", 1, signed, reordered(sealed, 0, 3)) == bytes(2 * given) + right[2 * given :]
    for wrong in shortened(sealed):
        with pytest.raises(MessageError):
            desk.open("train", 1, signed, wrong)
    for wrong in (*flipped(signed), *shortened(signed), reordered(signed, 2, 3)):
        with pytest.raises(MessageError):
            desk.open("train", 1, wrong, sealed)
    assert desk.open("train", 1, signed, sealed) == right


def test_each_flipped_cut_or_reordered_byte_of_an_upload_is_refused_and_adds_nothing(tmp_path: Path) -> None:
    group = Group(tmp_path, "abc")
    upload = group.upload("b")
    gathering = group.gathering()
    envelope, update = upload.envelope(), upload.masked.update.tobytes()
    for wrong in (*flipped(envelope), *shortened(envelope)):
        with pytest.raises(MessageError):
            gathering.add("b", Upload.read(upload.masked, wrong, 3))
    for wrong in flipped(update):
        with pytest.raises(MessageError):
            gathering.add("b", replace(upload, masked=Masked(np.frombuffer(wrong, "<u4"), upload.masked.counts)))
    for masked in (
        Masked(upload.masked.update[::-1].copy(), upload.masked.counts),
        Masked(upload.masked.update, upload.masked.counts[::-1].copy()),
        Masked(np.full(len(upload.masked.update), np.nan, np.float32), upload.masked.counts),
        Masked(np.full(len(upload.masked.update), np.inf, np.float32), upload.masked.counts),
    ):
        with pytest.raises(MessageError):
            gathering.add("b", replace(upload, masked=masked))
    assert gathering.names == []
    for name in "abc":
        gathering.add(name, group.upload(name))
    assert gathering.names == ["a", "b", "c"]
