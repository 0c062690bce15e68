"""The audit log on the disk: whatever is done to a line of it is found, and no power cut or full disk makes it lie."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardround_common.audit.commands import Owner, report
from wardround_common.audit.entries import AuditHead, AuditRow, line_of, read_line
from wardround_common.audit.log import SLOT_BYTES, AuditLog, lines, read_head, segments
from wardround_common.audit.passage import Passage, passage_of
from wardround_common.audit.recorder import Recorder
from wardround_common.audit.verify import verify
from wardround_common.audit.witness import EVERY_S, HEAD_HEADER, SPLIT_HEADER, Witness
from wardround_common.documents.signed_chain import FIRST_LINK
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity

OURS, OTHER = Identity(b"a" * 32), Identity(b"b" * 32)
COUNT = 7


def log_in(folder: Path, identity: Identity = OURS, **options: int) -> AuditLog:
    return AuditLog(folder, identity, "hospital", "st-mary", **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a log of seven entries: the first, and six rounds."""
    log = log_in(tmp_path / "audit")
    for number in range(1, COUNT):
        log.note("round charged", {"study": "s" * 12, "round": number, "epsilon after": 0.5 * number})
    return tmp_path / "audit"


def faults(folder: Path, *heads: AuditHead, identity: Identity = OURS) -> tuple[str, ...]:
    kept = read_head(folder) if folder.is_dir() else None
    return verify(lines(folder), identity.public, [*heads, *([kept] if kept else [])], "st-mary").faults


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    [path] = segments(folder)
    path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().splitlines())))


def test_a_log_that_nobody_touched_is_whole_and_says_what_happened(folder: Path) -> None:
    found = verify(lines(folder), OURS.public, [], "st-mary")
    assert found.faults == ()
    assert [entry.what for entry in found.entries] == ["log opened", *["round charged"] * 6]
    assert found.entries[3].facts == {"study": "s" * 12, "round": 3, "epsilon after": 1.5}
    assert found.entries[0].facts["key"] == OURS.public.hex()


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_each_line_that_is_edited_is_found_and_named(folder: Path, number: int) -> None:
    def edit(old: bytes) -> bytes:
        fields = json.loads(old)
        fields["facts"]["round"] = 99
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    rewrite(folder, lambda old: [*old[: number - 1], edit(old[number - 1]), *old[number:]])
    assert any(f"entry {number} is not what st-mary signed" in fault for fault in faults(folder))


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_each_line_of_which_one_byte_is_changed_is_found(folder: Path, number: int) -> None:
    rewrite(folder, lambda old: [*old[: number - 1], old[number - 1].replace(b'":', b'" :', 1), *old[number:]])
    assert any(f"line {number}" in fault for fault in faults(folder))


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_each_line_that_is_removed_is_found_and_named(folder: Path, number: int) -> None:
    rewrite(folder, lambda old: [*old[: number - 1], *old[number:]])
    said = "entries 7" if number == COUNT else f"entry {number} was removed"
    said = f"ends with entry {COUNT - 1}" if number == COUNT else said
    assert any(said in fault for fault in faults(folder))


@pytest.mark.parametrize("number", range(1, COUNT))
def test_two_lines_that_are_swapped_are_found(folder: Path, number: int) -> None:
    rewrite(folder, lambda old: [*old[: number - 1], old[number], old[number - 1], *old[number + 1 :]])
    assert faults(folder)


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_line_that_is_put_in_is_found_at_every_place(folder: Path, number: int) -> None:
    rewrite(folder, lambda old: [*old[:number], old[number - 1], *old[number:]])
    assert any(f"entry {number} stands where there can be none" in fault for fault in faults(folder))


@pytest.mark.parametrize("number", range(1, COUNT))
def test_a_log_that_is_cut_off_after_any_line_is_found_by_the_head_beside_it(folder: Path, number: int) -> None:
    rewrite(folder, lambda old: old[:number])
    assert any(f"the log ends with entry {number}" in fault for fault in faults(folder))
    with pytest.raises(StorageError, match=f"ends with entry {number}, and there were {COUNT}"):
        log_in(folder).note("paused")


def test_a_log_that_is_cut_off_with_its_head_is_found_by_a_head_that_was_given_out(folder: Path) -> None:
    given = read_head(folder)
    assert given
    rewrite(folder, lambda old: old[:4])
    last = read_line(list(lines(folder))[-1]).row
    early = AuditHead.signed(OURS, 4, last.link)  # an older head that somebody kept
    (folder / "head").write_bytes(early.text().ljust(SLOT_BYTES - 1).encode() + b"\n")
    assert faults(folder) == ()
    assert any("5 to 7 were cut off" in fault for fault in faults(folder, given))


def test_an_entry_that_is_replaced_and_chained_anew_without_the_key_is_found(folder: Path) -> None:
    def forge(old: list[bytes]) -> list[bytes]:
        made, link = old[:2], read_line(old[1]).row.link
        for line in old[2:]:
            body = read_line(line).row.body.replace(b'"round":3', b'"round":2')
            row = AuditRow.signed(OTHER, len(made) + 1, body, link)
            made.append(line_of(row))
            link = row.link
        return made

    rewrite(folder, forge)
    found = faults(folder)
    assert [f"entry {number} is not what st-mary signed" in found[number - 3] for number in range(3, 8)] == [True] * 5


def test_a_log_of_another_hospital_is_no_log_of_this_one(folder: Path, tmp_path: Path) -> None:
    log_in(tmp_path / "other", OTHER).note("paused")
    assert "entry 1 is not what st-mary signed" in faults(tmp_path / "other")[0]
    rewrite(folder, lambda old: [*old, *lines(tmp_path / "other")])
    assert any("entry 1 stands where there can be none" in fault for fault in faults(folder))
    with pytest.raises(StorageError, match="not signed with this key"):
        log_in(tmp_path / "other").note("paused")


def test_whoever_has_the_key_is_found_only_by_a_head_that_was_given_out(folder: Path, tmp_path: Path) -> None:
    given = read_head(folder)
    assert given
    anew = log_in(tmp_path / "anew")
    for number in range(1, 7):
        anew.note("round charged", {"round": number, "epsilon after": 0.1})
    assert faults(tmp_path / "anew") == ()
    assert "the log was rewritten" in faults(tmp_path / "anew", given)[0]


def test_a_log_whose_head_was_removed_is_not_gone_on_with(folder: Path) -> None:
    (folder / "head").unlink()
    with pytest.raises(StorageError, match="a head next to it"):
        log_in(folder).note("paused")


@pytest.mark.parametrize("how", ["removed", "emptied"])
@pytest.mark.parametrize("segment_bytes", [2**20, 1000])
def test_an_emptied_log_is_found_by_its_head_and_not_gone_on_with(tmp_path: Path, how: str, segment_bytes: int) -> None:
    place = tmp_path / "audit"
    for _ in range(10):
        log_in(place, segment_bytes=segment_bytes).note("paused")
    head = (place / "head").read_bytes()
    for path in segments(place):
        path.unlink() if how == "removed" else path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StorageError, match="has no entry any more, and there were 11"):
            log_in(place, segment_bytes=segment_bytes).note("service began")
    with pytest.raises(StorageError, match="has no entry any more, and there were 11"):
        log_in(place).look()
    assert (place / "head").read_bytes() == head
    own, said = Owner("st-mary", OURS.public, "coordinator"), list[str]()
    with pytest.raises(StorageError, match="entries 1 to 11 were cut off"):
        report(own, place, [], False, said.append)
    assert said == []


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_a_log_that_is_emptied_while_it_is_in_use_is_not_gone_on_with(folder: Path, how: str) -> None:
    log = log_in(folder)
    log.note("service began")
    [path] = segments(folder)
    path.unlink() if how == "removed" else path.write_bytes(b"")
    with pytest.raises(StorageError, match=f"lost a file while .* after entry {COUNT + 1}|was cut short while"):
        log.note("paused")
    with pytest.raises(StorageError, match=f"has no entry any more, and there were {COUNT + 1}"):
        log.note("paused")


def test_looking_at_a_log_writes_nothing(folder: Path) -> None:
    (folder / "lock").unlink()
    [path] = segments(folder)
    path.write_bytes(path.read_bytes() + b'{"facts":{"round":')
    before = {one: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}
    head = log_in(folder).look()
    assert head == read_head(folder)
    said = list[str]()
    report(Owner("st-mary", OURS.public, "coordinator"), folder, [], False, said.append)
    assert "is whole: 7 entries" in said[0]
    assert "Half a line follows" in said[0]
    assert before == {one: (one.read_bytes(), one.stat().st_mtime_ns) for one in folder.iterdir()}


def test_half_a_line_is_a_fault_in_an_export_and_where_the_head_speaks_of_it(folder: Path, tmp_path: Path) -> None:
    [path] = segments(folder)
    exported = tmp_path / "out.log"
    exported.write_bytes(path.read_bytes()[:-20])
    assert any("line 7, after entry 6, is not an entry" in fault for fault in faults(exported))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match="line 7, after entry 6, is not an entry"):
        report(Owner("st-mary", OURS.public, "coordinator"), folder, [], False, print)


def test_a_half_written_head_leaves_the_one_before(folder: Path) -> None:
    content = bytearray((folder / "head").read_bytes())
    content[SLOT_BYTES * (COUNT % 2) + 50] = 0
    (folder / "head").write_bytes(bytes(content))
    head = read_head(folder)
    assert head
    assert head.number == COUNT - 1
    log_in(folder).note("paused")
    assert faults(folder) == ()


@pytest.mark.parametrize("torn", [b'{"facts":{"rou', b"\0" * 700, b"\0\0\0\n", b"\xff\n"])
def test_what_a_power_cut_left_of_a_line_is_set_aside_and_noted(folder: Path, torn: bytes) -> None:
    with segments(folder)[0].open("ab") as file:
        file.write(torn)
    log_in(folder).note("paused")
    assert (folder / f"torn-{COUNT + 1:012d}").read_bytes() == torn
    found = verify(lines(folder), OURS.public, [], "st-mary")
    assert found.faults == ()
    assert [entry.what for entry in found.entries[-2:]] == ["log mended", "paused"]
    assert found.entries[-2].facts["bytes"] == len(torn)


def test_the_last_line_is_not_taken_for_half_written_once_its_head_was_signed(folder: Path) -> None:
    path = segments(folder)[0]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StorageError, match="ends with entry 6, and there were 7"):
        log_in(folder).note("paused")
    assert faults(folder)


def test_a_full_disk_leaves_the_log_whole_and_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = log_in(folder), os.write

    def half(file: int, content: bytes) -> int:
        if len(content) > 100:
            return write(file, bytes(content)[:100])
        raise OSError(errno.ENOSPC, "no space")

    log.note("paused")
    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StorageError, match=r"the disk is full.*what it cannot tell of does not happen"):
        log.note("resumed")
    monkeypatch.undo()
    assert faults(folder) == ()
    log.note("resumed")
    assert faults(folder) == ()
    assert [read_line(line).what for line in lines(folder)][-2:] == ["paused", "resumed"]


def test_the_chain_goes_over_segments_and_one_that_is_missing_is_found(tmp_path: Path) -> None:
    log = log_in(tmp_path / "audit", segment_bytes=1000)
    for _ in range(10):
        log.note("paused")
    assert len(segments(tmp_path / "audit")) >= 3
    log_in(tmp_path / "audit", segment_bytes=1000).note("resumed")
    assert faults(tmp_path / "audit") == ()
    log.export(tmp_path / "all.log")
    assert faults(tmp_path / "all.log") == ()
    with pytest.raises(StorageError, match="this file already exists"):
        log.export(segments(tmp_path / "audit")[0])
    segments(tmp_path / "audit")[1].unlink()
    assert "were removed" in faults(tmp_path / "audit")[0]


def test_several_writers_make_one_chain(tmp_path: Path) -> None:
    def work(log: AuditLog) -> None:
        for _ in range(10):
            log.note("paused")

    threads = [threading.Thread(target=work, args=(log_in(tmp_path / "audit"),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults(tmp_path / "audit") == ()
    assert len(list(lines(tmp_path / "audit"))) == 31


def test_only_what_a_kind_has_room_for_can_be_stated(tmp_path: Path) -> None:
    log = log_in(tmp_path / "audit")
    for facts in ({"path": "/images/x.dcm"}, {"why": "x" * 301}, {"why": float("nan")}):
        with pytest.raises(ValueError, match="cannot state"):
            log.note("question refused", facts)
    with pytest.raises(KeyError):
        log.note("patient seen")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff", b"[" * 10_000, b'{"number":1}', b"1" * 20_000])
def test_a_line_that_is_no_entry_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        read_line(line)


def test_a_line_in_another_form_than_its_own_is_refused() -> None:
    row = AuditRow.signed(OURS, 1, b'{"facts":{},"time":"2026-01-01T00:00:00.000Z","what":"paused"}', FIRST_LINK)
    line = line_of(row)
    assert read_line(line).time == datetime(2026, 1, 1, tzinfo=UTC)
    for other in (
        line + b" ",
        line.replace(b'"number":1', b'"number":1.0'),
        line.replace(b'"what"', b'"facts":{},"what"'),
    ):
        with pytest.raises(MessageError):
            read_line(other)


def test_what_a_message_claims_of_itself_cannot_steer_a_terminal_or_fill_the_log() -> None:
    def told(message_type: str, fields: dict[str, object]) -> Passage:
        heads = {
            "other": b"ConfigRecord  3\0xyz",  # a part that nobody answers
            "root": b"Message one,two 5\0hello",
            "one": b'RecordDict fields 20\0{"fields": "fields"}',
            "fields": b"ConfigRecord  3\0abc",
        }
        return passage_of(
            "in",
            "mercy",
            message_type,
            "root",
            {"root": 5, "one": 7},
            heads,
            {b"ConfigRecord  3\0abc": fields}.__getitem__,
        )

    odd = told(
        "train.\x1b[2J" + "x" * 9999, {"study": "\x1b" * 64, "round": True, "failure": "\x07", "path": "/images"}
    )
    assert (odd.kind, odd.study, odd.round, odd.failure, odd.content, odd.bytes) == ("?", "", None, "", "one", 7)
    well = told("train.train", {"study": "5" * 64, "round": 3, "failure": "data"})
    assert (well.kind, well.study, well.round, well.failure) == ("train", "5" * 64, 3, "data")
    assert told("train.train", {"round": 10**9}).round is None


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "huge.log").write_bytes(b"x" * 100_000)
    assert all(len(line) <= 20_000 for line in lines(tmp_path / "huge.log"))
    assert len(faults(tmp_path / "huge.log")) == 7


def passage(kind: str = "train", content: str = "c", message: str = "m") -> Passage:
    return Passage("in", "coordinator", kind, content, 5, message, study="5" * 64, round=1)


def test_a_message_that_is_tried_again_and_a_proposal_that_is_asked_again_are_noted_once(tmp_path: Path) -> None:
    recorder = Recorder(log_in(tmp_path / "audit"))
    for one in (passage(), passage(), passage(message="n")):
        recorder(one)
    for message in "xyz":
        recorder(passage("propose", message=message))
    noted = [read_line(line) for line in lines(tmp_path / "audit")][1:]
    assert [entry.facts["kind"] for entry in noted] == ["train", "train", "propose"]
    assert noted[0].facts["study"] == "5" * 12


def test_the_head_of_the_other_end_is_noted_at_first_each_hour_and_when_it_goes_back(tmp_path: Path) -> None:
    theirs, clock = log_in(tmp_path / "theirs", OTHER), [0.0]
    witness = Witness(log_in(tmp_path / "ours"), lambda: clock[0])

    def hears(number: int, identity: Identity = OTHER) -> None:
        witness.hears("north", OTHER.public, {HEAD_HEADER: AuditHead.signed(identity, number, bytes(32)).text()})

    assert Witness(theirs).says("north") == {}
    theirs.note("paused")
    assert Witness(theirs).says("north") == {HEAD_HEADER: theirs.look().text()}  # type: ignore[union-attr]
    for number in (5, 6, 6):
        hears(number)
    hears(99, OURS)  # somebody else signed it
    witness.hears("north", OURS.public, {HEAD_HEADER: AuditHead.signed(OURS, 1, bytes(32)).text()})  # new keys, new log
    witness.hears("north", OTHER.public, {HEAD_HEADER: "nonsense"})
    clock[0] += EVERY_S
    hears(7)
    hears(4)
    hears(4)
    noted = [read_line(line) for line in lines(tmp_path / "ours")][1:]
    assert [(entry.what, entry.text("head").split(":")[0]) for entry in noted] == [
        ("head received", "5"),
        ("head received", "1"),
        ("head received", "7"),
        ("head went back", "4"),
    ]


def test_two_copies_of_a_folder_that_both_serve_are_noticed_and_both_ends_are_told(tmp_path: Path) -> None:
    log_in(tmp_path / "one" / "audit", OTHER).note("paused")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copies = [Witness(log_in(tmp_path / name / "audit", OTHER)) for name in ("one", "two")]
    clock, at = [0.0], datetime(2026, 1, 1, 12, tzinfo=UTC)
    ours = Witness(log_in(tmp_path / "ours"), lambda: clock[0], lambda: at)
    log_in(tmp_path / "ours").note("service began")

    def beats(copy: Witness) -> None:
        copy._own.note("service began")
        ours.hears("north", OTHER.public, copy.says("coordinator"))
        copy.hears("coordinator", OURS.public, ours.says("north"))
        clock[0] += 10.0

    beats(copies[0])
    assert ours.split("north") is None
    beats(copies[1])  # as many entries, and others
    for _ in range(20):
        for copy in copies:
            beats(copy)
    assert ours.split("north") == at
    assert [copy.told("coordinator") for copy in copies] == [at, at]
    noted = [read_line(line).what for line in lines(tmp_path / "ours")]
    assert noted.count("head split") + noted.count("head went back") == 1  # and not with every heartbeat
    clock[0] += EVERY_S
    beats(copies[0])  # the other one was stopped
    assert ours.split("north") is None
    assert copies[0].told("coordinator") is None


def test_a_log_that_was_set_back_is_noticed_also_after_the_other_end_was_started_anew(tmp_path: Path) -> None:
    theirs = log_in(tmp_path / "theirs" / "audit", OTHER)
    theirs.note("paused")
    shutil.copytree(tmp_path / "theirs", tmp_path / "older")
    for _ in range(5):
        theirs.note("paused")
    ours = log_in(tmp_path / "ours")
    Witness(ours).hears("north", OTHER.public, Witness(theirs).says("coordinator"))
    set_back = log_in(tmp_path / "older" / "audit", OTHER)
    set_back.note("service began")
    for back in (True, False):  # started twice: once is noted
        again = Witness(log_in(tmp_path / "ours"))
        again.hears("north", OTHER.public, Witness(set_back).says("coordinator"))
        assert (again.split("north") is not None) == back
    assert [read_line(line).what for line in lines(tmp_path / "ours")][1:] == [
        "head received",
        "head went back",
        "head received",
    ]


def test_what_the_other_end_says_of_our_log_is_no_more_than_a_time(tmp_path: Path) -> None:
    witness = Witness(log_in(tmp_path / "ours"))
    for said in ("\x1b[2J", "2026-01-01", "x" * 5000, "2026-01-01T12:00:00"):
        witness.hears("north", OTHER.public, {SPLIT_HEADER: said})
        assert witness.told("north") is None
    witness.hears("north", OTHER.public, {SPLIT_HEADER: "2026-01-01T12:00:00+00:00"})
    assert witness.told("north") == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_log_that_has_begun_has_a_head_that_was_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: dict[int, bytes] = {}
    fsync = os.fsync

    def note(file: int) -> None:
        fsync(file)
        if stat.S_ISREG(os.fstat(file).st_mode):
            flushed[os.fstat(file).st_ino] = Path(f"/proc/self/fd/{file}").read_bytes()

    monkeypatch.setattr(os, "fsync", note)
    log = log_in(tmp_path / "audit")
    for _ in range(3):
        log.note("paused")
    head = tmp_path / "audit" / "head"
    head.write_bytes(flushed[head.stat().st_ino])  # as a power cut would leave it
    log_in(tmp_path / "audit").note("paused")
    assert faults(tmp_path / "audit") == ()
