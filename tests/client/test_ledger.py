"""The ledger: nothing is charged twice or forgotten, whatever crashes; nobody changes it unseen."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledgers import DRAW, EVENT, IDENTITY, a_study, approve, charge, opened, rows, tamper, verified
from wardround_client.spending.ledger import store
from wardround_client.spending.ledger.books import Spent
from wardround_client.spending.ledger.chain import Head
from wardround_client.spending.ledger.entries import Carried, Event, write_entry
from wardround_client.spending.ledger.patients import KEY_NAME
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import HEAD_NAME, LEDGER_NAME, Ledger, existing_ledger
from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_common.errors import FullDiskError, PrivacyError, StorageError
from wardround_common.keys.identity import Identity


def of_patient(ledger: Ledger, name: str) -> Counter[Event]:
    """Add up what one patient was charged, by looking for them in every cohort."""
    tag = ledger.key.cohort([name]).tags
    total: Counter[Event] = Counter()
    for digest, events in ledger.books.spent().items():
        tags = ledger.cohort(digest).tags
        if tag in {tags[start : start + len(tag)] for start in range(0, len(tags), len(tag))}:
            total += events
    return total


def test_a_charge_is_there_after_the_process_is_gone(tmp_path: Path) -> None:
    cohort = approve(opened(tmp_path), "a")
    charge(opened(tmp_path), "a", 1, cohort)
    assert of_patient(opened(tmp_path), "p") == {EVENT: 1}


def test_a_round_is_charged_once_however_often_it_is_asked(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    cohort = approve(ledger, "a")
    for _ in range(3):
        charge(ledger, "a", 1, cohort)
        charge(opened(tmp_path), "a", 1, cohort)
    ledger.confirm(a_study("a"), 1)
    charge(ledger, "a", 1, cohort)
    assert ledger.books.spent() == {cohort: {EVENT: 1}}


@pytest.mark.parametrize("change", ["draw", "event", "cohort"])
def test_a_second_answer_to_a_charged_round_is_refused(tmp_path: Path, change: str) -> None:
    ledger = opened(tmp_path)
    cohort, other = approve(ledger, "a"), approve(ledger, "b", ["p", "q", "r"])
    charge(ledger, "a", 1, cohort)
    louder = EVENT.model_copy(update={"noise_multiplier": 0.5})
    changed: dict[str, Any] = {"draw": {"draw": "e" * 64}, "event": {"event": louder}, "cohort": {"cohort": other}}
    with pytest.raises(PrivacyError, match="round 1 of this study was answered before"):
        charge(ledger, "a", 1, **({"cohort": cohort} | changed[change]))
    assert ledger.books.spent() == {cohort: {EVENT: 1}}


@pytest.mark.parametrize("left", [4_096, 40_960])  # not enough for the log's index; enough for it and nothing else
def test_a_ledger_on_a_full_disk_says_that_the_disk_is_full_and_keeps_what_it_had(tmp_path: Path, left: int) -> None:
    size = 1_048_576
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        cohort = approve(opened(tmp_path), "a")
        (tmp_path / "filler").write_bytes(bytes(shutil.disk_usage(tmp_path).free - left))
        charged: list[int] = []

        def charge_on() -> None:
            for number in range(1, 200):
                charge(opened(tmp_path), "a", number, cohort)
                charged.append(number)

        with pytest.raises(FullDiskError, match="the disk is full"):
            charge_on()
        (tmp_path / "filler").unlink()
        assert verified(tmp_path).faults == ()
        # The round at which it filled up may be charged: it is asked again, and then not charged twice.
        assert opened(tmp_path).books.rounds_of(a_study("a")) in (charged, [*charged, len(charged) + 1])
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_two_processes_add_to_one_ledger_in_turn(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    cohort = approve(one, "a")
    for number in range(1, 6):
        charge((one, two)[number % 2], "a", number, cohort)
    assert opened(tmp_path).books.rounds_of(a_study("a")) == [1, 2, 3, 4, 5]
    assert verified(tmp_path).faults == ()


def test_a_patient_in_two_studies_has_spent_both(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    other = Event(noise_multiplier=2.0, sampling_rate=0.2, steps=4)
    first, second = approve(ledger, "a", ["p", "q"]), approve(ledger, "b", ["q", "r"], event=other)
    for number in (1, 2):
        charge(ledger, "a", number, first)
    charge(ledger, "b", 1, second, other)
    assert of_patient(ledger, "p") == {EVENT: 2}
    assert of_patient(ledger, "q") == {EVENT: 2, other: 1}
    histories = histories_of({digest: ledger.cohort(digest).numbers for digest in (first, second)})
    found = cost(histories, ledger.books.spent(), 1e-5)
    both = epsilon_of((EVENT.times(2), other.times(1)), 1e-5)
    apart = [epsilon_of(EVENT.times(2), 1e-5), epsilon_of(other.times(1), 1e-5)]
    assert found.composed.all()
    assert sorted(found.epsilon) == pytest.approx(sorted([*apart, both]))
    assert both > max(apart)


def test_what_is_kept_names_no_patient_and_is_for_its_owner_only(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    charge(ledger, "a", 1, approve(ledger, "a", ["JANE-DOE-1234"]))
    for path in tmp_path.iterdir():
        assert b"JANE" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    elsewhere = opened(tmp_path / "elsewhere")
    assert elsewhere.key.cohort(["JANE-DOE-1234"]).tags != ledger.key.cohort(["JANE-DOE-1234"]).tags


def test_a_cohort_is_kept_once_for_all_rounds_and_studies(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    names = [f"patient {number}" for number in range(5000)]
    cohort = approve(ledger, "a", names, 50)
    approve(ledger, "b", names)
    before = sum(len(row[1]) for row in rows(tmp_path)[0])
    for number in range(1, 51):
        charge(ledger, "a", number, cohort)
    assert len(rows(tmp_path)[1]) == 1
    assert (sum(len(row[1]) for row in rows(tmp_path)[0]) - before) / 50 < 600  # bytes a round


# Crashes


def in_a_process_without_threads(check: Callable[..., None], *given: Any) -> None:
    """Run a check in a new process: a fork of one whose threads hold locks may wait for them for ever."""
    process = multiprocessing.get_context("spawn").Process(target=check, args=given)
    process.start()
    process.join(500)
    process.kill()  # where it has not ended
    process.join()
    assert process.exitcode == 0, "what failed is in the captured output"


def in_child(work: Any, at_line: int) -> int:
    """Run ``work`` in a forked process that ends without a word at its ``at_line``-th line; give its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [at_line]

    def trace(frame: Any, event: str, argument: object) -> Any:
        if "wardround" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
        return trace

    try:
        sys.settrace(trace)
        work()
        sys.settrace(None)
        os._exit(0)
    except BaseException:  # noqa: BLE001  # a test must not go on twice
        os._exit(1)


def killed_at_any_line(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    cohort = approve(opened(begun), "a")
    charge(opened(begun), "a", 1, cohort)
    line, ended = 1, False
    outcomes: set[tuple[int, bool]] = set()
    while not ended:
        folder = tmp_path / f"killed {line}"
        shutil.copytree(begun, folder)
        trained = folder / "trained"

        def work(folder: Path = folder, trained: Path = trained) -> None:
            ledger = opened(folder)
            charge(ledger, "a", 2, cohort)
            trained.touch()  # what costs privacy
            ledger.confirm(a_study("a"), 2)

        status = in_child(work, line)
        assert status in (0, 9)
        ended = status == 0
        after = opened(folder)
        spent, truth = after.books.spent()[cohort][EVENT], 1 + trained.exists()
        assert truth <= spent <= truth + 1
        assert verified(folder).faults == ()
        outcomes.add((spent, trained.exists()))
        # The round is done again after the crash: no second charge.
        work()
        assert opened(folder).books.spent() == {cohort: {EVENT: 2}}
        shutil.rmtree(folder)
        line += 1
    assert outcomes == {(1, False), (2, False), (2, True)}


@pytest.mark.slow
def test_killed_at_any_line_spent_is_never_less_than_the_truth_and_at_most_one_round_more(tmp_path: Path) -> None:
    in_a_process_without_threads(killed_at_any_line, tmp_path)


def killed_while_it_is_begun(tmp_path: Path) -> None:
    line, ended = 1, False
    while not ended:
        folder = tmp_path / str(line)
        ended = in_child(lambda folder=folder: opened(folder), line) == 0
        ledger = opened(folder)
        charge(ledger, "a", 1, approve(ledger, "a"))
        assert verified(folder).faults == ()
        shutil.rmtree(folder)
        line += 2


@pytest.mark.slow
def test_killed_while_it_is_begun_the_ledger_can_be_begun_again(tmp_path: Path) -> None:
    in_a_process_without_threads(killed_while_it_is_begun, tmp_path)


def test_a_change_that_fails_midway_leaves_what_is_in_memory_as_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(tmp_path)
    cohort = approve(ledger, "a")
    real = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE":
                pages = super().execute("PRAGMA page_count").fetchone()[0]
                super().execute(f"PRAGMA max_page_count = {pages}")
            return super().execute(sql, *values)

    with monkeypatch.context() as patch:
        patch.setattr(store.sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=Full))

        def fill() -> None:
            for number in range(1, 200):
                charge(ledger, "a", number, cohort)

        with pytest.raises(StorageError, match="the disk is full"):
            fill()
    charged = opened(tmp_path).books.rounds_of(a_study("a"))
    charge(ledger, "a", len(charged) + 1, cohort)
    assert ledger.books.rounds_of(a_study("a")) == [*charged, len(charged) + 1]
    assert verified(tmp_path).faults == ()


@pytest.mark.parametrize("rounds", [(), (2,)])
def test_a_ledger_that_is_exchanged_under_a_service_is_found_before_anything_is_charged(
    tmp_path: Path, rounds: tuple[int, ...]
) -> None:
    """As by a copy that is put back while the service runs: an older one, or one that went on in another way."""
    first, second = tmp_path / "first", tmp_path / "second"
    ledger = opened(first)
    cohort = approve(ledger, "a")
    shutil.copytree(first, second)
    charge(ledger, "a", 1, cohort)
    for number in rounds:
        charge(opened(second), "a", number, cohort)
    for path in first.iterdir():
        path.unlink()
    for path in second.iterdir():
        shutil.copy(path, first)
    before = rows(first)
    for _ in range(2):  # when it is read anew, too: a service is asked again
        with pytest.raises(StorageError, match="was changed or removed while this ledger was in use"):
            charge(ledger, "a", 3, cohort)
    assert rows(first) == before
    (first / LEDGER_NAME).unlink()
    (first / HEAD_NAME).unlink()
    for _ in range(2):
        with pytest.raises(StorageError, match="it or its head was removed"):
            charge(ledger, "a", 3, cohort)


@pytest.mark.parametrize("in_use", [False, True])
def test_an_entry_that_nobody_signed_is_found_when_a_ledger_is_opened_and_while_it_is_in_use(
    tmp_path: Path, in_use: bool
) -> None:
    """It follows the last one and its head, so that only its signature tells: it would take back what was spent."""
    ledger = opened(tmp_path)
    charge(ledger, "a", 1, approve(ledger, "a"))
    body = write_entry(Carried(epsilon=0.0, delta=0.0, studies=(), logs=(), at="2026-11-30T12:00:00Z"))
    number, _, previous, _ = rows(tmp_path)[0][-1]
    link = ledger.head.link if ledger.head else b""
    assert link != previous
    tamper(tmp_path, ("INSERT INTO entries VALUES (?, ?, ?, ?)", (number + 1, body, link, bytes(64))))
    with pytest.raises(StorageError, match="is not signed by this hospital"):
        ledger.refresh() if in_use else opened(tmp_path)


def test_a_head_that_is_given_out_after_a_crash_is_of_the_last_entry(tmp_path: Path) -> None:
    """A crash between an entry and its head leaves the head before; given out, it would not show that entry's loss."""
    ledger = opened(tmp_path)
    cohort = approve(ledger, "a")
    before = (tmp_path / HEAD_NAME).read_bytes()
    charge(ledger, "a", 1, cohort)
    (tmp_path / HEAD_NAME).write_bytes(before)
    head = existing_ledger(tmp_path, IDENTITY).head
    assert head is not None
    head.check(IDENTITY.public)
    assert head.number == len(rows(tmp_path)[0])
    assert (tmp_path / HEAD_NAME).read_bytes() == before  # reading writes nothing


def test_what_a_killed_process_left_in_the_write_ahead_log_is_read_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    cohort = approve(ledger, "a")
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME)) as other:  # as long as it is open nothing is checkpointed
        other.execute("SELECT * FROM entries").fetchall()
        for number in (1, 2, 3):
            charge(ledger, "a", number, cohort)
        killed = tmp_path / "killed"
        killed.mkdir()
        for path in tmp_path.iterdir():
            if path.is_file() and not path.name.endswith("-shm"):
                (killed / path.name).write_bytes(path.read_bytes())
    assert (killed / f"{LEDGER_NAME}-wal").stat().st_size
    (killed / KEY_NAME).chmod(0o600)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in killed.iterdir()}
    found = existing_ledger(killed, IDENTITY)
    assert found.books.rounds_of(a_study("a")) == [1, 2, 3]
    assert found.cohort(cohort).size == 2
    assert verified(killed).faults == ()
    with pytest.raises(StorageError, match="opened read-only"):
        charge(found, "a", 4, cohort)
    assert before == {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in killed.iterdir()}


def test_a_closing_that_cannot_be_told_of_is_not_made(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    approve(ledger, "a")

    def fails() -> None:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        ledger.close(a_study("a"), fails)
    assert ledger.books.closed == set()
    assert opened(tmp_path).books.closed == set()
    assert {path.name for path in tmp_path.iterdir()} == {LEDGER_NAME, HEAD_NAME, KEY_NAME}
    ledger.close(a_study("a"), lambda: None)
    assert opened(tmp_path).books.closed == {a_study("a")}


def test_a_ledger_that_another_process_holds_is_an_error_and_no_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(tmp_path)
    cohort = approve(ledger, "a")
    monkeypatch.setattr(store, "WAIT_S", 0.05)
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another process has held the ledger"):
            charge(ledger, "a", 1, cohort)
    charge(ledger, "a", 1, cohort)
    assert ledger.books.spent() == {cohort: {EVENT: 1}}


class Life(RuleBasedStateMachine):
    """Charges, confirmations, crashes and new processes, beside a dictionary that does the same."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = Path(tempfile.mkdtemp(prefix="ledger"))
        self.ledger = opened(self.folder)
        self.members = {"a": ["p", "q"], "b": ["q", "r"]}
        self.cohorts = {letter: approve(self.ledger, letter, who, 6) for letter, who in self.members.items()}
        self.model: dict[tuple[str, int], str] = {}

    @rule(letter=st.sampled_from("ab"), number=st.integers(1, 6), draw=st.sampled_from("de"))
    def charge(self, letter: str, number: int, draw: str) -> None:
        known = self.model.setdefault((letter, number), draw)
        if known == draw:
            charge(self.ledger, letter, number, self.cohorts[letter], draw=draw * 64)
        else:
            with pytest.raises(PrivacyError):
                charge(self.ledger, letter, number, self.cohorts[letter], draw=draw * 64)

    @rule(letter=st.sampled_from("ab"), number=st.integers(1, 6))
    def confirm(self, letter: str, number: int) -> None:
        if (letter, number) in self.model:
            self.ledger.confirm(a_study(letter), number)
        else:
            with pytest.raises(StorageError):
                self.ledger.confirm(a_study(letter), number)

    @rule(letter=st.sampled_from("ab"), number=st.integers(1, 6))
    def crash_before_the_commit(self, letter: str, number: int) -> None:
        def fall_over(books: object) -> None:
            raise KeyboardInterrupt

        if (letter, number) in self.model:
            return
        with pytest.raises(KeyboardInterrupt):
            self.ledger.charge(a_study(letter), number, self.cohorts[letter], EVENT, DRAW, fall_over)

    @rule()
    def reopen(self) -> None:
        self.ledger = opened(self.folder)

    @precondition(lambda self: self.model)
    @rule()
    def close_and_approve_again(self) -> None:
        self.ledger.close(a_study("a"))
        approve(self.ledger, "a", self.members["a"], 6)

    @invariant()
    def spent_is_what_the_model_says(self) -> None:
        if not hasattr(self, "model"):
            return
        for name in "pqr":
            rounds = sum(name in self.members[letter] for letter, _ in self.model)
            assert of_patient(self.ledger, name)[EVENT] == rounds

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            assert verified(self.folder).faults == ()
            shutil.rmtree(self.folder)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=10, stateful_step_count=10, deadline=None)


# Tampering


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger with eight entries; tests copy it."""
    folder = tmp_path_factory.mktemp("lived") / "state"
    ledger = opened(folder)
    first, second = approve(ledger, "a"), approve(ledger, "b", ["q", "r"])
    charge(ledger, "a", 1, first)
    ledger.confirm(a_study("a"), 1)
    charge(ledger, "b", 1, second)
    charge(ledger, "a", 2, first)
    ledger.close(a_study("b"))
    return folder


def changed(lived: Path, tmp_path: Path, *statements: tuple[str, tuple[Any, ...]]) -> list[str]:
    folder = tmp_path / "state"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lived, folder)
    tamper(folder, *statements)
    return list(verified(folder).faults)


def test_a_whole_ledger_is_whole(lived: Path, tmp_path: Path) -> None:
    assert changed(lived, tmp_path) == []


@pytest.mark.parametrize("column", ["number", "body", "previous", "signature"])
def test_each_edited_column_of_each_entry_is_found_and_named(lived: Path, tmp_path: Path, column: str) -> None:
    for number, body, previous, signature in rows(lived)[0]:
        flipped = {
            "number": 100 + number,
            "body": body.replace(b'"at"', b'"as"') if number % 2 else body[:-1] + b" }",
            "previous": bytes([previous[0] ^ 1]) + previous[1:],
            "signature": signature[:-1] + bytes([signature[-1] ^ 1]),
        }
        sql = f"UPDATE entries SET {column} = ? WHERE number = ?"  # noqa: S608
        faults = changed(lived, tmp_path, (sql, (flipped[column], number)))
        named = f"entry {100 + number}" if column == "number" else f"entry {number} "
        assert any(named in fault for fault in faults), (number, faults)
        with pytest.raises(StorageError):
            opened(tmp_path / "state")


def test_less_noise_written_into_a_charge_is_found(lived: Path, tmp_path: Path) -> None:
    body = rows(lived)[0][3][1]
    forged = body.replace(b'"noise_multiplier":1.0', b'"noise_multiplier":9.0')
    assert forged != body
    faults = changed(lived, tmp_path, ("UPDATE entries SET body = ? WHERE number = 4", (forged,)))
    assert "entry 4 is not what this hospital signed: it was edited, moved or put in" in faults


def test_each_removed_entry_is_found_and_named(lived: Path, tmp_path: Path) -> None:
    count = len(rows(lived)[0])
    for number in range(1, count + 1):
        faults = changed(lived, tmp_path, ("DELETE FROM entries WHERE number = ?", (number,)))
        said = "were cut off" if number == count else f"entry {number} was removed"
        assert any(said in fault for fault in faults), faults
        with pytest.raises(StorageError):
            opened(tmp_path / "state")


def test_a_removed_entry_is_found_when_the_rest_moves_up(lived: Path, tmp_path: Path) -> None:
    up = "UPDATE entries SET number = -number WHERE number > 4", ()
    again = "UPDATE entries SET number = -number - 1 WHERE number < 0", ()
    faults = changed(lived, tmp_path, ("DELETE FROM entries WHERE number = 4", ()), up, again)
    assert any("entry 4 is not what this hospital signed" in fault for fault in faults)


def test_entries_in_another_order_are_found(lived: Path, tmp_path: Path) -> None:
    for first, second in [(3, 4), (4, 6), (7, 8)]:
        swap = [
            ("UPDATE entries SET number = -1 WHERE number = ?", (first,)),
            ("UPDATE entries SET number = ? WHERE number = ?", (first, second)),
            ("UPDATE entries SET number = ? WHERE number = -1", (second,)),
        ]
        faults = changed(lived, tmp_path, *swap)
        assert all(any(f"entry {number} " in fault for fault in faults) for number in (first, second))
        with pytest.raises(StorageError):
            opened(tmp_path / "state")


def test_an_entry_of_another_hospitals_ledger_is_found(lived: Path, tmp_path: Path) -> None:
    other = Identity(b"x" * 32)
    theirs = opened(tmp_path / "theirs", other)
    charge(theirs, "a", 1, approve(theirs, "a"))
    _, body, _, signature = rows(tmp_path / "theirs")[0][2]
    splice = "UPDATE entries SET body = ?, signature = ? WHERE number = 4", (body, signature)
    assert any("entry 4 is not what this hospital signed" in fault for fault in changed(lived, tmp_path, splice))
    shutil.copytree(tmp_path / "theirs", tmp_path / "taken")
    with pytest.raises(StorageError, match="not signed by this hospital"):
        opened(tmp_path / "taken")


def test_a_longer_tail_of_the_same_hospital_from_another_ledger_is_found(lived: Path, tmp_path: Path) -> None:
    ours = opened(tmp_path / "second")
    cohort = approve(ours, "a")
    for number in range(1, 9):
        charge(ours, "a", number, cohort)
    tail = [
        ("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", row)
        for row in rows(tmp_path / "second")[0]
        if row[0] > 5
    ]
    assert any("entry 6 follows another entry" in fault for fault in changed(lived, tmp_path, *tail))
    with pytest.raises(StorageError, match="entry 6"):
        opened(tmp_path / "state")


def test_a_tail_that_was_cut_off_is_found_by_the_head_beside_it(lived: Path, tmp_path: Path) -> None:
    faults = changed(lived, tmp_path, ("DELETE FROM entries WHERE number > 3", ()))
    assert faults == [
        "the ledger ends with entry 3, and a head says that there were 8: entries 4 to 8 were cut off, or the ledger "
        "was rolled back"
    ]
    with pytest.raises(StorageError, match="entry 4 and all after it were removed"):
        opened(tmp_path / "state")


def test_only_a_head_that_was_given_out_finds_a_folder_that_was_set_back(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "backup")
    shutil.copytree(lived, tmp_path / "state")
    ledger = opened(tmp_path / "state")
    cohort = approve(ledger, "a")
    charge(ledger, "a", 3, cohort)
    assert ledger.head is not None
    given = Head.parse(ledger.head.text())
    assert verified(tmp_path / "backup").faults == ()  # as the documentation says
    assert "were cut off, or the ledger was rolled back" in verified(tmp_path / "backup", heads=[given]).faults[0]


@pytest.mark.parametrize("name", [HEAD_NAME, LEDGER_NAME, "patients.key"])
def test_a_file_that_is_gone_or_damaged_stops_the_hospital(lived: Path, tmp_path: Path, name: str) -> None:
    for spoil in (Path.unlink, lambda path: path.write_bytes(b"nothing" * 100), lambda path: path.write_bytes(b"")):
        folder = tmp_path / "state"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(lived, folder)
        spoil(folder / name)
        with pytest.raises(StorageError):
            opened(folder)


def test_another_patient_key_stops_the_hospital(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "state")
    (tmp_path / "state" / "patients.key").write_bytes(bytes(32))
    with pytest.raises(StorageError, match="the same patient would look like two"):
        opened(tmp_path / "state")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE cohorts SET tags = substr(tags, 17)", "were changed"),
        ("DELETE FROM cohorts", "were removed"),
        ("UPDATE cohorts SET digest = replace(digest, substr(digest, 1, 1), 'x')", "were changed"),
        ("INSERT INTO cohorts SELECT 'x', zeroblob(16)", "were changed"),
    ],
)
def test_changed_patients_are_found_and_cannot_be_charged(lived: Path, tmp_path: Path, sql: str, says: str) -> None:
    assert any(says in fault for fault in changed(lived, tmp_path, (sql, ())))


def test_a_cohort_without_its_patients_is_never_taken_for_an_empty_one(lived: Path, tmp_path: Path) -> None:
    shutil.copytree(lived, tmp_path / "state")
    tamper(tmp_path / "state", ("DELETE FROM cohorts", ()))
    ledger = opened(tmp_path / "state")
    cohort = ledger.key.cohort(["p", "q"]).digest
    with pytest.raises(StorageError, match="gone from the ledger"):
        ledger.cohort(cohort)
    with pytest.raises(StorageError, match="does not know the patients"):
        charge(ledger, "a", 3, cohort)


def test_an_entry_that_this_version_cannot_read_stops_the_hospital(tmp_path: Path) -> None:
    from wardround_client.spending.ledger.chain import Row

    ledger = opened(tmp_path)
    approve(ledger, "a")
    last = rows(tmp_path)[0][-1]
    link = Row(*last).link
    body = b'{"kind":"charged","mechanism":"of the future"}'
    row = Row.signed(IDENTITY, last[0] + 1, body, link)
    tamper(
        tmp_path,
        ("INSERT INTO entries VALUES (?, ?, ?, ?)", (row.number, row.body, row.previous, row.signature)),
    )
    with pytest.raises(StorageError, match="cannot read"):
        opened(tmp_path)


# What it cost


def naive(spent: Spent, members: dict[str, set[int]], delta: float) -> dict[int, float]:
    """Compose each patient's events, one patient after the other."""
    epsilon = {}
    for patient in set().union(*members.values()):
        events: Counter[tuple[float, float]] = Counter()
        for cohort, charged in spent.items():
            if patient in members[cohort]:
                for event, times in charged.items():
                    events[event.noise_multiplier, event.sampling_rate] += times * event.steps
        epsilon[patient] = epsilon_of(tuple(SampledGaussian(*key, n) for key, n in sorted(events.items())), delta)
    return epsilon


def test_histories_cost_what_each_patient_costs_by_themselves() -> None:
    rng = np.random.default_rng(0)
    members = {name: set(rng.choice(30, 12, replace=False).tolist()) for name in "abc"}
    events = [EVENT, Event(noise_multiplier=2.0, sampling_rate=0.2, steps=4)]
    spent = {"a": Counter({EVENT: 3}), "b": Counter({events[1]: 2}), "c": Counter({EVENT: 1, events[1]: 1})}
    histories = histories_of({name: np.array(sorted(who), np.uint64) for name, who in members.items()})
    found = cost(histories, spent, 1e-5)
    by_patient = sorted(naive(spent, members, 1e-5).values())
    assert sorted(np.repeat(found.epsilon, histories.patients)) == pytest.approx(by_patient)
    assert len(histories.patients) <= 7


def test_the_quick_bound_is_never_below_the_composed_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    from wardround_client.spending.ledger import spending

    rng = np.random.default_rng(1)
    histories = histories_of({str(number): np.array([number], np.uint64) for number in range(6)})
    spent = {
        str(number): Counter(
            {
                Event(
                    noise_multiplier=float(rng.uniform(0.6, 6.0)),
                    sampling_rate=float(rng.choice([0.01, 0.2, 1.0])),
                    steps=int(rng.integers(1, 200)),
                ): 1
            }
        )
        for number in range(6)
    }
    exact = cost(histories, spent, 1e-5)
    monkeypatch.setattr(spending, "EXACT_WORK", 0)
    quick = cost(histories, spent, 1e-5)
    assert exact.composed.all()
    assert not quick.composed.any()
    assert (quick.epsilon >= exact.epsilon - 1e-9).all()
    assert (quick.epsilon <= 1.6 * exact.epsilon + 0.5).all()


def test_a_study_without_noise_costs_without_bound() -> None:
    noiseless = Event(noise_multiplier=0.0, sampling_rate=1.0, steps=1)
    histories = histories_of({"a": np.arange(3, dtype=np.uint64), "b": np.arange(2, 5, dtype=np.uint64)})
    found = cost(histories, {"a": Counter({noiseless: 1}), "b": Counter({EVENT: 1})}, 1e-5)
    assert int(histories.patients[np.isinf(found.epsilon)].sum()) == 3
