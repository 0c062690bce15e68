"""The ledger on disk: SQLite in WAL mode. If it cannot be read or trusted that is an error, never "nothing spent".

Each change is one transaction, on the disk before the call returns. Between calls no file is open: several processes
may use one ledger, one at a time. Each looks at what the others added before it adds.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wardround_client.spending.ledger.books import ENDED, Books
from wardround_client.spending.ledger.chain import (
    FIRST_LINK,
    WAYS_OUT,
    Head,
    Row,
    broken,
    check_end,
    check_head,
    follow,
)
from wardround_client.spending.ledger.entries import (
    Approved,
    Carried,
    Charged,
    Closed,
    Confirmed,
    Entry,
    Event,
    Opened,
    write_entry,
)
from wardround_client.spending.ledger.past import BEGINNING, REBUILD, check_no_past, check_not_behind, check_reaches
from wardround_client.spending.ledger.patients import KEY_NAME, Cohort, PatientKey, keep_patient_key
from wardround_client.spending.ledger.snapshot import snapshot
from wardround_client.spending.ledger.told import Bound, missing, read_told
from wardround_common.audit.log import NAME as AUDIT
from wardround_common.errors import FullDiskError, PrivacyError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import private_folder
from wardround_common.storage import is_out_of_room, no_room_is_said, write_atomically

LEDGER_NAME = "ledger.sqlite"
HEAD_NAME = "ledger.head"
WAIT_S = 30.0
"""How long to wait for another process that is writing."""
IN_USE = "was changed or removed while this ledger was in use"
HELD_BYTES = 128 * 1024
"""More than one entry takes: a few pages in the write-ahead log, its index, and the head."""

_SCHEMA = (
    "CREATE TABLE entries"
    " (number INTEGER PRIMARY KEY, body BLOB NOT NULL, previous BLOB NOT NULL, signature BLOB NOT NULL)",
    "CREATE TABLE cohorts (digest TEXT PRIMARY KEY, tags BLOB NOT NULL) WITHOUT ROWID",
    # Against accidents only: anyone who can write the file can also remove a trigger.
    *(
        f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END"
        for table in ("entries", "cohorts")
        for verb in ("UPDATE", "DELETE")
    ),
)


@dataclass(eq=False)
class Ledger:
    """One hospital's ledger: :func:`open_ledger` opens it for writing, :func:`existing_ledger` to read only."""

    folder: Path
    identity: Identity = field(repr=False)
    key: PatientKey = field(repr=False)
    durable: bool
    """False in a simulation: a crash of the process loses nothing, a power cut may."""
    reads_only: bool = False
    """Nothing is written next to it either, so that a copy may lie on a read-only or full disk."""
    rebuilt: bool = False
    """Another ledger begins although there was one: what was spent is carried over."""
    head: Head | None = None
    _cohorts: dict[str, Cohort] = field(default_factory=dict)
    """By digest, those that were looked at."""
    _books: Books = field(default_factory=Books)
    _number: int = 0
    """0: the disk is to be read before anything is said."""
    _link: bytes = FIRST_LINK
    _sure: tuple[int, bytes] = 0, FIRST_LINK
    """Number and link of the last entry that was seen on the disk; also when it is read anew, it must be there."""

    @property
    def books(self) -> Books:
        """What the entries say together, as of the last look at the disk."""
        if self._number == 0:
            self.refresh()
        return self._books

    def approve(
        self,
        study: str,
        name: str,
        rounds: int,
        event: Event,
        cohort: Cohort,
        data: str,
        check: Callable[[Books], None],
        before: Event | None = None,
    ) -> None:
        """Take part in a study: a number of rounds of ``event``, for these patients with this data.

        ``before``: what is added up with noise before the first of them, if anything is.

        ``check`` looks at the books as they are, while nobody else can add to them, and raises if there is to be no
        approval. One that says the same as the study's last one adds nothing.
        """
        with self._writing() as database:
            if study[:ENDED] in self.books.ended:
                raise PrivacyError(
                    "this hospital trained in this study before its ledger was rebuilt: which of its rounds were "
                    "answered is no longer known, so it has ended here",
                    do="Ask the coordinator for a study with another name.",
                )
            check(self.books)
            said = (study, name, rounds, event, before, cohort.digest, data)
            last = self.books.approved.get(study)
            if last and study not in self.books.closed and said == _said(last):
                return
            if not database.execute("SELECT 1 FROM cohorts WHERE digest = ?", (cohort.digest,)).fetchone():
                database.execute("INSERT INTO cohorts VALUES (?, ?)", (cohort.digest, cohort.tags))
            terms = {"rounds": rounds, "event": event, "before": before, "cohort": cohort.digest, "data": data}
            self._append(database, Approved.model_validate({"study": study, "name": name, "at": _now()} | terms))

    def charge(
        self, study: str, number: int, cohort: str, event: Event, draw: str, check: Callable[[Books], None]
    ) -> None:
        """Charge a round to the patients of a cohort, before any work on it begins; once, however often it is asked.

        ``check`` looks at the books as they are before the charge, and raises if there is to be none.

        Raises:
            PrivacyError: the round was charged for another question, other patients, or another event.
            StorageError: it cannot be written; then nothing may be trained.
        """
        with self._writing() as database:
            before = self.books.charged.get((study, number))
            if before:
                if (before.cohort, before.event, before.draw) != (cohort, event, draw):
                    raise PrivacyError(
                        f"round {number} of this study was answered before, for another question or other data: a "
                        "second answer would spend what was charged for one",
                        do="Continue from the round reached; a study started again needs another name or seed.",
                    )
                return
            check(self.books)
            if not database.execute("SELECT 1 FROM cohorts WHERE digest = ?", (cohort,)).fetchone():
                raise StorageError("the ledger does not know the patients to charge")
            entry = Charged(study=study, round=number, cohort=cohort, event=event, draw=draw, at=_now())
            self._append(database, entry)

    def confirm(self, study: str, number: int) -> None:
        """Note that the work of a charged round was done."""
        with self._writing() as database:
            if (study, number) not in self.books.charged:
                raise StorageError(f"round {number} was not charged, so it cannot be confirmed")
            if (study, number) not in self.books.confirmed:
                self._append(database, Confirmed(study=study, round=number, at=_now()))

    def close(self, study: str, telling: Callable[[], None] | None = None) -> None:
        """Take part in a study no longer; ``telling`` is called when that is sure to be so, just before it is.

        Raises:
            PrivacyError: this hospital does not take part in this study.
        """
        with self._writing() as database:
            if study not in self.books.approved or study in self.books.closed:
                raise PrivacyError("this hospital does not take part in this study")
            self._append(database, Closed(study=study, at=_now()))
            if telling is not None:
                with _room_held(self.folder):
                    telling()

    def carry(self, carried: Bound, studies: Iterable[str], logs: Iterable[tuple[str, int]]) -> None:
        """Charge every patient of this hospital what was spent before, of which only a bound is known.

        ``studies``, by the first twelve digits of their digests, end here; ``logs`` are the audit logs that it rests
        on.
        """
        with self._writing() as database:
            epsilon = carried.epsilon if math.isfinite(carried.epsilon) else None
            self._append(
                database,
                Carried(
                    epsilon=epsilon, delta=carried.delta, studies=tuple(sorted(studies)), logs=tuple(logs), at=_now()
                ),
            )

    def refresh(self) -> None:
        """Take in what other processes added."""
        if not self.reads_only:
            with self._writing():
                pass
            return
        try:
            with self._reading() as database:
                self._catch_up(database)
        except BaseException:
            self._forget()
            raise
        if self.head is None or self.head.number != self._number:  # a crash fell between an entry and its head
            self.head = Head.signed(self.identity, self._number, self._link)

    def check_reaches(self) -> None:
        """Check that the ledger knows what the audit log in its folder proves.

        Raises:
            StorageError: it was rolled back to an older copy.
        """
        books = self.books
        known = dict(books.carried.logs) if books.carried else {}
        told = read_told(self.folder / AUDIT, after=known)
        if missing(told, books.approved, books.charged):
            self.refresh()  # a service may have charged and answered since this ledger was looked at
            books = self.books
        check_reaches(self.folder, told, books.approved, books.charged)

    def goes_through(self, head: Head) -> bool:
        """Tell whether a head is of this ledger, as it is or as it was before its last entries."""
        self.refresh()
        with self._reading() as database:
            found = database.execute("SELECT * FROM entries WHERE number = ?", (head.number,)).fetchone()
        return found is not None and _row(found).link == head.link

    def content(self) -> bytes:
        """Return the whole database, as a file to be put elsewhere."""
        with self._reading() as database:
            return database.serialize()

    def cohort(self, digest: str) -> Cohort:
        """Return the patients of a cohort.

        Raises:
            StorageError: it is not there, or was changed.
        """
        if digest not in self._cohorts:
            with self._reading() as database:
                found = database.execute("SELECT tags FROM cohorts WHERE digest = ?", (digest,)).fetchone()
            tags = found[0] if found else None
            if not isinstance(tags, bytes) or Cohort(tags).digest != digest:
                raise StorageError(
                    f"the patients of cohort {digest[:12]} are gone from the ledger, or were changed",
                    where=str(self.folder / LEDGER_NAME),
                    do=WAYS_OUT,
                )
            self._cohorts[digest] = Cohort(tags)
        return self._cohorts[digest]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _looked_at(self.folder) if self.reads_only else _opened(self.folder, durable=self.durable) as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the ledger for one change; what others added since is read first."""
        if self.reads_only:
            raise StorageError("this ledger was opened read-only", where=str(self.folder / LEDGER_NAME))
        try:
            with _opened(self.folder, durable=self.durable) as database:
                database.execute("BEGIN IMMEDIATE")
                self._catch_up(database)
                yield database
                database.execute("COMMIT")
                self._sure = self._number, self._link
        except BaseException:
            self._forget()  # what is in memory may be ahead of the disk: the next call reads it again
            raise
        if self.head is None or self.head.number != self._number:
            self._write_head()

    def _catch_up(self, database: sqlite3.Connection) -> None:
        if self._number == 0:
            self._read_all(database)
        else:
            self._read_on(database)
        self._sure = self._number, self._link

    def _read_all(self, database: sqlite3.Connection) -> None:
        """Follow the whole chain, and check that it goes through the head that is kept next to it."""
        self.head = read_head(self.folder)
        number, link = self._sure
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
            if self.reads_only and self.head is None:
                check_no_past(self.folder)
                raise _no_ledger(self.folder)
            if self.reads_only or number:
                raise self._cut_short()
            self._begin(database)
            return
        rows = [_row(each) for each in database.execute("SELECT * FROM entries ORDER BY number")]
        if self.head is None or not rows:
            raise self._cut_short()
        if number and all(row.link != link for row in rows[number - 1 : number]):
            raise broken(number, IN_USE)
        self._take_in(rows)
        check_head(self.head, self.identity.public, {row.number: row.link for row in rows})
        if self._books.opened is None or self._books.opened.patients != self.key.mark:
            raise StorageError(
                "the key of the ledger's patients is not the one that this ledger began with",
                where=str(self.folder / KEY_NAME),
                do="Restore that key from your backup: with another one the same patient would look like two.",
            )

    def _begin(self, database: sqlite3.Connection) -> None:
        if self.head is not None and self.head.number > 1:
            raise self._cut_short()
        if not self.rebuilt:
            check_no_past(self.folder)
        for statement in _SCHEMA:
            database.execute(statement)
        opened = Opened(key=self.identity.public.hex(), patients=self.key.mark, at=_now())
        self._append(database, opened)
        self._write_head()  # before the first entry is there: from then on a ledger without a head was tampered with

    def _read_on(self, database: sqlite3.Connection) -> None:
        number = self._number
        last = database.execute("SELECT * FROM entries WHERE number = ?", (number,)).fetchone()
        if last is None or _row(last).link != self._link:
            raise broken(number, IN_USE)
        if found := database.execute("SELECT * FROM entries WHERE number > ? ORDER BY number", (number,)).fetchall():
            self._take_in([_row(each) for each in found])

    def _take_in(self, rows: list[Row]) -> None:
        for row, entry in follow(rows, self._number, self._link):
            self._add(row, entry)
        check_end(rows[-1], self.identity.public)

    def _add(self, row: Row, entry: Entry) -> None:
        try:
            self._books.add(entry)
        except StorageError as error:
            raise broken(row.number, f"cannot be: {error.what}") from None
        self._number, self._link = row.number, row.link

    def _append(self, database: sqlite3.Connection, entry: Entry) -> None:
        row = Row.signed(self.identity, self._number + 1, write_entry(entry), self._link)
        database.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (row.number, row.body, row.previous, row.signature))
        self._add(row, entry)

    def _write_head(self) -> None:
        self.head = Head.signed(self.identity, self._number, self._link)
        content = (self.head.text() + "\n").encode()
        if self.durable or self._number == 1:  # an empty head, left by a crash, could not be told from a damaged one
            write_atomically(self.folder / HEAD_NAME, content, private=True)
            return
        # One write, which no crash of this process cuts in two; renaming over a file waits for some disks.
        with no_room_is_said(self.folder / HEAD_NAME):
            file = os.open(self.folder / HEAD_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(file, content, 0)
            finally:
                os.close(file)

    def _forget(self) -> None:
        self._books, self.head, self._number, self._link = Books(), None, 0, FIRST_LINK

    def _cut_short(self) -> StorageError:
        return _cut_short(self.folder)


def open_ledger(folder: Path, identity: Identity, *, durable: bool = True) -> Ledger:
    """Open the hospital's ledger in its state folder, or begin it; the whole chain is followed.

    Raises:
        StorageError: it cannot be read, was changed, was truncated, is another hospital's, or another process holds it.
    """
    path, beginning = folder / LEDGER_NAME, folder / BEGINNING
    with no_room_is_said(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    headed = (folder / HEAD_NAME).exists()
    if not _has_content(path) and not beginning.exists():
        if headed:
            raise _cut_short(folder)
        check_no_past(folder)
        write_atomically(beginning, b"", private=True)
    key = keep_patient_key(folder, may_make=beginning.exists() and not headed)
    with no_room_is_said(path):
        # SQLite makes its side files with the access rights of the file itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    ledger = Ledger(folder, identity, key, durable)
    ledger.refresh()
    if beginning.exists():
        with no_room_is_said(beginning):
            beginning.unlink(missing_ok=True)
    check_not_behind(folder)
    ledger.check_reaches()
    return ledger


def rebuild_ledger(
    folder: Path, identity: Identity, carried: Bound, studies: Iterable[str], logs: Iterable[tuple[str, int]]
) -> None:
    """Carry what was spent over to the ledger that is there, or to another that begins with it, in one step.

    Raises:
        StorageError: it cannot be written, or the ledger that is there cannot be trusted.
    """
    private_folder(folder)
    begins = not (folder / LEDGER_NAME).exists()
    key = keep_patient_key(folder, may_make=begins)
    if begins:
        with no_room_is_said(folder / LEDGER_NAME):
            os.close(os.open(folder / LEDGER_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    Ledger(folder, identity, key, durable=True, rebuilt=True).carry(carried, studies, logs)


def existing_ledger(folder: Path, identity: Identity, *, also_behind: bool = False) -> Ledger:
    """Open a ledger that is there, to read it: nothing is written.

    ``also_behind``: also one that is older than what was spent, for somebody who mends that.

    Raises:
        StorageError: there is none, or it cannot be trusted.
    """
    if not (folder / LEDGER_NAME).exists() and not (folder / HEAD_NAME).exists():
        check_no_past(folder)
        raise _no_ledger(folder)
    key = keep_patient_key(folder, may_make=False)
    ledger = Ledger(folder, identity, key, durable=True, reads_only=True)
    ledger.refresh()
    if not also_behind:
        check_not_behind(folder)
        ledger.check_reaches()
    return ledger


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _cut_short(folder: Path) -> StorageError:
    return StorageError(
        "the ledger was emptied, or it or its head was removed", where=str(folder / LEDGER_NAME), do=REBUILD
    )


def _no_ledger(folder: Path) -> StorageError:
    return StorageError(
        "this hospital has no ledger yet",
        where=str(folder / LEDGER_NAME),
        do="It starts with the first study that this hospital approves.",
    )


def read_head(folder: Path) -> Head | None:
    """Read the head that is kept next to the ledger; None if there is none.

    Raises:
        StorageError: it cannot be read.
    """
    path = folder / HEAD_NAME
    try:
        return Head.parse(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, StorageError):
        raise StorageError(
            "the head of the ledger cannot be read",
            where=str(path),
            do="Restore the ledger and its head from your newest backup.",
        ) from None


def read_rows(folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Read all entries and all cohorts as they stand, sound or not, for somebody who checks them.

    Raises:
        StorageError: there is no ledger, or SQLite cannot read it.
    """
    path = folder / LEDGER_NAME
    if not path.exists():
        check_no_past(folder)
        raise _no_ledger(folder)
    with _looked_at(folder) as database:
        problem = database.execute("PRAGMA quick_check(1)").fetchone()
        if problem != ("ok",):
            raise StorageError("the ledger's file is damaged", where=str(path), do=WAYS_OUT)
        entries = database.execute("SELECT * FROM entries ORDER BY number").fetchall()
        return entries, database.execute("SELECT * FROM cohorts ORDER BY digest").fetchall()


@contextmanager
def _looked_at(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database to read it; nothing is written, and SQLite's errors become ours."""
    path = folder / LEDGER_NAME
    try:
        with snapshot(path) as database:
            yield database
    except sqlite3.Error as error:
        raise _said_by_sqlite(error, path) from None


@contextmanager
def _room_held(folder: Path) -> Iterator[None]:
    """Hold the room that a change of the ledger needs while somebody else writes, and let go of it just before."""
    ballast = folder / ".room"
    write_atomically(ballast, bytes(HELD_BYTES), private=True)
    try:
        yield
    finally:
        with no_room_is_said(ballast):
            ballast.unlink(missing_ok=True)


@contextmanager
def _opened(folder: Path, *, durable: bool) -> Iterator[sqlite3.Connection]:
    """Open the database; what was begun and not committed is undone, and SQLite's errors become ours."""
    path = folder / LEDGER_NAME
    try:
        database = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise _said_by_sqlite(error, path) from None


def _said_by_sqlite(error: sqlite3.Error, path: Path) -> StorageError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if is_out_of_room(error, path.parent):
        return FullDiskError("the disk is full: the ledger cannot be written", where=str(path), do="Make room first.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"another process has held the ledger for {WAIT_S:.0f} seconds",
            where=str(path),
            do="Stop that process, or wait for it; nothing was charged.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
        return StorageError(
            f"the ledger cannot be written ({error})", where=str(path), do="Check the folder, its rights and the disk."
        )
    return StorageError(f"the ledger cannot be read ({error})", where=str(path), do=WAYS_OUT)


def _row(columns: tuple[object, ...]) -> Row:
    match columns:
        case (int(number), bytes(body), bytes(previous), bytes(signature)):
            return Row(number, body, previous, signature)
    raise broken(columns[0] if columns and isinstance(columns[0], int) else 0, "has something else in it than bytes")


def _said(approval: Approved) -> tuple[object, ...]:
    terms = (approval.rounds, approval.event, approval.before, approval.cohort, approval.data)
    return approval.study, approval.name, *terms


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
