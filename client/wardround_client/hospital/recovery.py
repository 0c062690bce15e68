"""Recovery when a hospital's ledger is lost, or older than what was spent: a verified copy, or a bound for all.

Neither ever lowers what a patient has spent. A copy is verified entry by entry and put in its place; one that does not
know all that the audit log proves trains nothing until the ledger is rebuilt. To rebuild charges every patient of the
hospital the most that the log, or the ledger that is there, tells of anybody (``ledger.told.bound``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wardround_client.hospital.hospital_audit import hospital_log, note_refusal
from wardround_client.spending.ledger.books import ENDED
from wardround_client.spending.ledger.chain import Head
from wardround_client.spending.ledger.past import BEGINNING, BEHIND, later_head, logs, note_behind
from wardround_client.spending.ledger.patients import KEY_NAME, keep_patient_key
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import (
    HEAD_NAME,
    LEDGER_NAME,
    Ledger,
    existing_ledger,
    read_head,
    read_rows,
    rebuild_ledger,
)
from wardround_client.spending.ledger.told import Bound, Told, bound, missing, read_told
from wardround_client.spending.ledger.verify import verify
from wardround_client.spending.parts import parts_of
from wardround_client.spending.policy import DEFAULT_DELTA, POLICY_NAME, read_policy
from wardround_client.state import identity_file
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.entries import key_of, read_line
from wardround_common.audit.log import lines, segments
from wardround_common.audit.log import read_head as read_log_head
from wardround_common.audit.verify import verify as verify_log
from wardround_common.errors import MessageError, StorageError, listed
from wardround_common.keys.key_files import set_aside
from wardround_common.storage import alone_in, no_room_is_said, write_atomically

_FILES = (LEDGER_NAME, f"{LEDGER_NAME}-wal", f"{LEDGER_NAME}-shm", HEAD_NAME, BEGINNING)


@dataclass(frozen=True)
class Rebuilding:
    """What a rebuilt ledger would charge every patient, and on what that rests."""

    bound: Bound
    rounds: int
    """That the audit logs tell of."""
    studies: frozenset[str]
    """That end here, by the first twelve digits of their digests."""
    continues: bool
    """Whether the ledger that is there is sound, and goes on; else another begins."""
    rolled_back: bool = False
    """Whether the logs may be as old as the ledger, so that all rests on what the hospital knows from elsewhere."""


@dataclass(frozen=True)
class Restored:
    """A copy that was put in its place."""

    entries: int
    missing: tuple[str, ...]
    """What it does not know, so that the ledger must be rebuilt on top of it."""


def restore(folder: HospitalFolder, copy: Path, heads: Sequence[Head]) -> Restored:
    """Verify the ledger of a copy of this hospital's folder, and put it in the place of what is here.

    What is here is set aside. ``heads`` are such as were given out or kept elsewhere.

    Raises:
        StorageError: the copy is not whole, is another hospital's, is no newer than the ledger that is here, or cannot
            be written; or the service runs.
        MessageError: a head is not signed by this hospital.
    """
    identity = folder.identity()
    if not (copy / LEDGER_NAME).is_file():
        what = "there is no ledger in this folder" if copy.is_dir() else "this is not a folder"
        raise StorageError(what, where=str(copy), do="Name a copy of this hospital's own folder.")
    theirs = read_head(copy)
    if theirs is None:
        raise StorageError("this copy has a ledger without its head", where=str(copy), do="Take another copy.")
    try:
        theirs.check(identity.public)
    except MessageError:
        raise StorageError(
            "this copy is not signed with this hospital's key: it is another hospital's, or older than its keys",
            where=str(copy),
            do=_ANOTHER,
        ) from None
    known = [theirs, *heads]
    with suppress(StorageError, MessageError):  # what cannot be read, or is another's, says nothing
        if here_said := read_head(folder.path):
            here_said.check(identity.public)
            known.append(here_said)
    found = verify(*read_rows(copy), identity.public, [theirs])
    later = [head for head in known if head.number > found.entries]
    for head in later:
        head.check(identity.public)
    faults = [*found.faults, *verify(*read_rows(copy), identity.public, [h for h in known if h not in later]).faults]
    if faults:
        raise StorageError(
            f"this copy cannot be trusted:\n{listed(faults)}",
            where=str(copy),
            do=_ANOTHER,
        )
    source = existing_ledger(copy, identity, also_behind=True)  # its key of patients is the one that it was begun with
    here = _sound(folder)
    if here is not None and len(here.books.charged) >= len(source.books.charged):
        raise StorageError(
            "the ledger here is intact, and has every charge of the copy",
            where=str(folder.path),
            do="If it is older than what was spent, run: wardround hospital ledger rebuild",
        )
    with alone_in(folder.path):
        return _put(folder, source, found.entries, later)


_ANOTHER = "Take another copy, or rebuild: wardround hospital ledger rebuild"


def _put(folder: HospitalFolder, source: Ledger, entries: int, later: Sequence[Head]) -> Restored:
    lacks = _lacks(source, [read_told(log) for log in logs(folder.path)])
    for head in later:
        lacks.append(f"entries up to {head.number}, which a head speaks of")
    if lacks:
        note_behind(folder.path)
    aside = folder.replaced / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    set_aside([folder.path / name for name in (*_FILES, KEY_NAME)], aside)
    write_atomically(folder.path / KEY_NAME, source.key.secret, private=True)
    write_atomically(folder.path / LEDGER_NAME, source.content(), private=True)
    write_atomically(folder.path / HEAD_NAME, f"{source.head.text() if source.head else ''}\n".encode(), private=True)
    hospital_log(folder).note("ledger restored", {"entries": entries})
    return Restored(entries, tuple(lacks))


def plan_rebuild(folder: HospitalFolder, at_least: float = 0.0) -> Rebuilding:
    """Work out what every patient would be charged; ``at_least`` is what the hospital knows from elsewhere.

    Raises:
        StorageError: the ledger that is here is whole, an audit log cannot be trusted, or there is none and nothing is
            known from elsewhere.
    """
    told = list(_trusted_logs(folder))  # first: a service that runs charges before it answers
    here = _sound(folder)
    if here is not None and not _lacks(here, told) and not (folder.path / BEHIND).exists():
        raise StorageError(
            "there is nothing to rebuild: the ledger is intact, and has everything that the audit log records",
            where=str(folder.path),
        )
    if not any(one.last for one in told) and not at_least:
        raise StorageError(
            "there is no audit log to rebuild the ledger from",
            where=str(folder.audit),
            do="Restore a copy of it; or give with --at-least what no patient has exceeded, such as the policy's cap.",
        )
    rolled_back = bool(later_head(folder.path))
    if rolled_back and not at_least:
        raise StorageError(
            "what was spent is not recorded here: the coordinator was told of a later ledger of this hospital, and the "
            "audit log may be as old as the ledger",
            where=str(folder.path),
            do="Give with --at-least what no patient has exceeded, such as the policy's cap over all studies.",
        )
    rules = folder.path / POLICY_NAME
    delta = read_policy(rules).budget.delta if rules.exists() else DEFAULT_DELTA
    proved = bound(told)
    carried = 0.0 if here is None else here.books.carried_delta
    counted = max(proved.delta, delta + carried)
    recorded = max(proved.epsilon, 0.0 if here is None else _highest(here, counted - carried))
    if rolled_back and at_least < recorded:
        raise StorageError(
            f"{at_least:g} is less than what is recorded here already, epsilon {recorded:.3f}; more was spent since",
            where=str(folder.path),
            do="Give with --at-least what no patient has exceeded, such as the policy's cap over all studies.",
        )
    epsilon = max(recorded, at_least)
    known = set() if here is None else {study[:ENDED] for study in here.books.approved}
    lost = set() if here is None else {study for study, _ in _unknown_rounds(here, told)}
    everything = {note.round[0] for one in told for note in one.notes} | {s for one in told for s in one.approved}
    everything |= {study for one in told for study, _ in one.answered} | set(_with_secrets(folder))
    if rolled_back:  # no study goes on: which rounds of it were answered is known nowhere
        proposals = Approvals(folder.path / "studies").all()
        lost |= known | {each.study.digest()[:ENDED] for each in proposals if each.decision == "approved"}
    ended = (everything - known) | lost
    for proposal in Approvals(folder.path / "studies").all():  # with a part of it, the whole study ends
        parts = {part[:ENDED] for part in parts_of(proposal.study.digest())}
        if proposal.study.noised and parts & ended:
            ended |= parts
    return Rebuilding(
        Bound(epsilon, counted if epsilon else 0.0),
        len({note.round for one in told for note in one.notes if note.round[0]}),
        frozenset(ended) - {""},
        here is not None,
        rolled_back,
    )


def rebuild(folder: HospitalFolder, planned: Rebuilding) -> None:
    """Charge every patient what was planned; what cannot be continued is set aside.

    Raises:
        StorageError: it cannot be written, or the service runs.
    """
    with alone_in(folder.path):
        _rebuild(folder, planned)


def _rebuild(folder: HospitalFolder, planned: Rebuilding) -> None:
    identity, log = folder.identity(), hospital_log(folder)
    epsilon = planned.bound.epsilon if planned.bound.epsilon != float("inf") else "unbounded"
    log.note("ledger rebuilt", {"epsilon": epsilon, "delta": planned.bound.delta, "rounds": planned.rounds})
    if not planned.continues:
        aside = folder.replaced / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        unusable = [] if _has_key(folder.path) else [KEY_NAME]
        set_aside([folder.path / name for name in (*_FILES, *unusable)], aside)
    told = [read_told(one) for one in logs(folder.path)]
    rests_on = [(one.first, one.last) for one in told if one.last]
    rebuild_ledger(folder.path, identity, planned.bound, planned.studies, rests_on)
    with no_room_is_said(folder.path):
        (folder.path / BEHIND).unlink(missing_ok=True)
    approvals = Approvals(folder.path / "studies")
    for proposal in approvals.all():
        if proposal.decision == "approved" and proposal.study.digest()[:ENDED] in planned.studies:
            note_refusal(folder, proposal.study, True, approvals.deciding(proposal.study, "refused"))


def _sound(folder: HospitalFolder) -> Ledger | None:
    """Open the ledger that is here; None if there is none that can be continued."""
    try:
        return existing_ledger(folder.path, folder.identity(), also_behind=True)
    except StorageError:
        return None


def _has_key(folder: Path) -> bool:
    with suppress(StorageError):
        keep_patient_key(folder, may_make=False)
        return True
    return False


def _lacks(ledger: Ledger, told: Sequence[Told]) -> list[str]:
    return [what for one in _since(ledger, told) for what in missing(one, ledger.books.approved, ledger.books.charged)]


def _unknown_rounds(ledger: Ledger, told: Sequence[Told]) -> set[tuple[str, int]]:
    """Name the rounds that a log tells of, answered or only charged, and the ledger does not know."""
    known = {(study[:ENDED], number) for study, number in ledger.books.charged}
    every = {note.round for one in told for note in one.notes} | {each for one in told for each in one.answered}
    return {each for each in every if each not in known and each[0] not in ledger.books.ended}


def _since(ledger: Ledger, told: Sequence[Told]) -> Iterator[Told]:
    """Leave out logs and entries that were carried over to the ledger already."""
    carried = dict(ledger.books.carried.logs) if ledger.books.carried else {}
    for one in told:
        if one.last > carried.get(one.first, 0):
            yield Told(one.first, one.last, one.notes, *_not_ended(one, ledger), one.speaks)


def _not_ended(one: Told, ledger: Ledger) -> tuple[frozenset[tuple[str, int]], frozenset[str]]:
    ended = ledger.books.ended
    return (
        frozenset(each for each in one.answered if each[0] not in ended),
        frozenset(study for study in one.approved if study not in ended),
    )


def _highest(ledger: Ledger, delta: float) -> float:
    books = ledger.books
    spent = books.spent()
    found = cost(histories_of({digest: ledger.cohort(digest).numbers for digest in spent}), spent, delta)
    return float(found.epsilon.max(initial=0.0)) + books.carried_epsilon


def _with_secrets(folder: HospitalFolder) -> Iterator[str]:
    """Name the studies in which this hospital has trained, by what it keeps of them."""
    for name in ("stream.key", "desk"):
        for path in (folder.path / "studies").glob(f"*/{name}"):
            yield path.parent.name[:ENDED]


def _trusted_logs(folder: HospitalFolder) -> Iterator[Told]:
    for log in logs(folder.path):
        kept = read_log_head(log)
        if not segments(log) and kept is None:
            continue
        public = folder.identity().public if log == folder.audit else _key_of_replaced(log)
        found = verify_log(lines(log) if segments(log) else (), public, (), "this hospital", kept=kept)
        if found.faults or kept is None:
            raise StorageError(
                "the audit log cannot be trusted, so nothing can be rebuilt from it",
                where=str(log),
                do="'wardround hospital audit verify' names its faults. Restore a copy of it, or of the ledger.",
            )
        yield read_told(log)


def _key_of_replaced(log: Path) -> bytes:
    """Find the key of a log that was set aside with its identity."""
    with suppress(StorageError):
        return identity_file.read_identity(log.parent).public
    return key_of(read_line(next(lines(log), b""))) or b""
