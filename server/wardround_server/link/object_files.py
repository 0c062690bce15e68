"""Flower's object store with large contents in files: the database says which objects there are, and whose.

A content is written once, whoever sends or asks for it, without the database's lock, and is on the disk before the
database says that it is here. Its name is its SHA-256, which is checked when it comes. Private parts of
``flwr==1.42.0``, as in ``superlink``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.constant import OBJECT_PUSH_SESSION_TTL_SECONDS
from flwr.supercore.inflatable.inflatable_object import (
    is_valid_sha256_hash,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.object_store.sql_object_store import SqlObjectStore
from flwr.supercore.sql_mixin import SqlMixin
from flwr.supercore.utils import uint64_to_int64
from sqlalchemy import event

from wardround_common.buffers import room
from wardround_common.canonical import Content, Part, whole
from wardround_common.errors import MessageError
from wardround_common.storage import new_file, no_room_is_said, write_pieces
from wardround_server.link.at_hand import AtHand

MOST_HEAD_BYTES = 2**18  # of an object: its kind and the names of its parts, 65 bytes each
IN_DATABASE_BYTES = 16_384
"""Contents that are smaller are kept in the database: flushing a file and its name to the disk takes as long for a few
hundred bytes as for a megabyte, and most objects of a message have no more."""


def flush_each_commit(store: SqlMixin) -> None:
    """Let what a database committed outlive a power cut; by Flower's own setting, the last commits may be lost.

    A hospital forgets an answer as soon as it is told that it arrived.
    """

    def flush(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # the database has nothing of what was deleted; see ``forget``

    def flush_again(connection: sqlite3.Connection | None, record: object) -> None:
        if connection is not None:
            connection.execute("PRAGMA synchronous = FULL")  # see ``need_not_last``

    engine = store._engine
    if engine is None:
        raise ValueError("the database is not open")
    event.listen(engine, "connect", flush)  # after Flower's own
    event.listen(engine, "checkin", flush_again)
    engine.dispose()  # of connections that were made before


def forget(store: SqlMixin) -> None:
    """Write the database's log into it, and empty the log: what was deleted is kept there until it is overwritten.

    Nothing happens where somebody reads for longer than SQLite waits; the next time will do. Outside of a transaction.
    """
    if store._engine is None:
        raise ValueError("the database is not open")
    with closing(store._engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True)
class Written:
    """A content that is checked, and is not an object yet: a large one is on the disk."""

    name: str
    path: Path
    small: bytes | None = None
    """The content, if it goes into the database."""
    pieces: list[Content] = field(default_factory=list, repr=False)
    """The content, if it does not."""


@dataclass(frozen=True)
class StoredContent:
    """A content in a file, read to where it is wanted (``Stored`` in ``object_trees``)."""

    path: Path
    size: int

    def __len__(self) -> int:
        """Say how many bytes it has."""
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        """Read a part of it."""
        start, stop, _ = part.indices(self.size)
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), max(0, stop - start), start)

    def read_into(self, place: memoryview, start: int) -> None:
        """Fill ``place`` with what begins at ``start``.

        Raises:
            ValueError: it has fewer bytes by now.
        """
        filled = 0
        with self.path.open("rb", buffering=0) as file:
            while filled < len(place):
                came = os.preadv(file.fileno(), [place[filled:]], start + filled)
                if not came:
                    raise ValueError(f"{self.path.name} is shorter than it was")
                filled += came


class ObjectFiles(SqlObjectStore):
    """Objects as files in a folder; :meth:`settle` and :meth:`sweep` end each transaction of the database."""

    def __init__(self, database: str, folder: Path) -> None:
        super().__init__(database, verify=False)  # ``written`` verifies
        self.trouble: sqlite3.DatabaseError | None = None
        """Why a content was not taken, such as a full disk; Flower's link state keeps that to itself."""
        self._folder = folder
        self._moved = False
        self._doubtful: set[str] = set()  # names of files that the database may not know any more
        self._at_hand = AtHand()  # so that what came is not read again from the disk a moment later

    def initialize(self, log_queries: bool = False, **engine: Any) -> list[str]:
        """Open the database, and make the files agree with it as far as a crash left them apart.

        Raises:
            StorageError: the folder cannot be written.
        """
        tables: list[str] = super().initialize(log_queries, **engine)
        flush_each_commit(self)
        with no_room_is_said(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            here = {path.name for path in self._folder.iterdir()}
            known = {row["object_id"] for row in self.query("SELECT object_id FROM objects")}
            for name in here - known:
                (self._folder / name).unlink()
        said = {row["object_id"] for row in self.query(_SAID_TO_BE_HERE)}
        for name in said - here:  # so that its sender is asked for it
            self.query("UPDATE objects SET is_available = 0 WHERE object_id = :name", {"name": name})
        return tables

    @contextmanager
    def written(self, name: str, content: Content | list[Content], *, named: bool = False) -> Iterator[Written]:
        """Check a content, and write a large one to the disk, for :meth:`put`; removed in the end if not taken.

        ``content`` may come in pieces, of which the first has the whole head. ``named``: who gives it has just made its
        name of it, so that it is not hashed a second time.

        Raises:
            MessageError: it is not the content of that name, or has not the form of Flower's objects.
            StorageError: the disk is full.
        """
        pieces = content if isinstance(content, list) else [content]
        size, found = sum(map(len, pieces)), hashlib.sha256()
        _check_form(pieces[0], size)
        for piece in () if named else pieces:
            found.update(piece)
        if not named and found.hexdigest() != name:
            raise MessageError("a content is not the one that its name says")
        path = self._folder / f".{name}.{secrets.token_hex(4)}"
        if size < IN_DATABASE_BYTES:
            yield Written(name, path, b"".join(pieces))
            return
        try:
            with no_room_is_said(path), new_file(path, 0o600) as file:
                write_pieces(file, pieces, durable=True)
            yield Written(name, path, pieces=pieces)
        finally:
            path.unlink(missing_ok=True)

    def awaited(self, run: int, session: str, names: list[str]) -> bool:
        """Say whether a session of Flower's of this run waits for all of these objects.

        Of an answer that was deleted the session is there for a while, and its objects are not.
        """
        with self.rows() as rows:
            ((here,),) = rows.execute(_AWAITED, (session, uint64_to_int64(run), json.dumps(names)))
        return bool(here == len(names))

    def awaits_more(self, session: str, count: int) -> bool:
        """Say whether a session of Flower's waits for more than this number of objects."""
        with self.rows() as rows:
            waits = rows.execute(_PENDING, (session,)).fetchone()
        return bool(waits and waits[0] > count)

    def renew(self, session: str) -> bool:
        """Let a session of Flower's last from now on for as long as a new one; False if its time is over.

        Times are written as Flower writes them (``UTCDateTime``).
        """
        moment = datetime.now(UTC)
        until = moment + timedelta(seconds=OBJECT_PUSH_SESSION_TTL_SECONDS)
        with self.rows() as rows:
            rows.execute(_RENEW, (until.isoformat(" "), session, moment.isoformat(" ")))
            return bool(rows.rowcount)

    def need_not_last(self) -> None:
        """In a transaction that has changed nothing yet: a power cut may undo it, so that no flush is waited for.

        What is committed after it and lasts makes it last too, as both are in the same log.
        """
        with self.rows() as rows:
            rows.execute("PRAGMA synchronous = NORMAL")

    def put_awaited(self, session: str, content: Written) -> None:
        """Make what was written an object that a session of Flower's waits for, and not the last; in a transaction.

        As ``store_object`` of Flower's link state, by statements that take a tenth of the time, but for what ends a
        session or refuses one that is over: Flower stores the last object of each answer, and refuses.
        """
        with self.rows() as rows:
            rows.execute(_CLAIM, (session, content.name))
            self.put(content.name, content)
            rows.execute(_ONE_LESS, (session,))

    def put(self, object_id: str, object_content: bytes | Written) -> None:
        """Make what was written an object; in a transaction."""
        if isinstance(object_content, bytes):
            with self.written(object_id, object_content) as written:
                self.put(object_id, written)
            return
        if object_content.name != object_id:
            raise ValueError(f"{object_id} is not what was written")
        with self.rows() as rows:
            try:
                rows.execute(
                    "UPDATE objects SET content = ?, is_available = 1 WHERE object_id = ?",
                    (object_content.small or b"", object_id),
                )
            except sqlite3.DatabaseError as error:
                self.trouble = error
                raise
            if not rows.rowcount:
                raise NoObjectInStoreError(f"{object_id} was not announced")
        if object_content.small is not None:
            return
        object_content.path.replace(self._folder / object_id)
        self._at_hand.keep(object_id, object_content.pieces)
        self._moved = True
        self._doubtful.add(object_id)  # the transaction may fail

    def get(self, object_id: str) -> bytes | None:
        """Return a content; None if there is no such object, nothing if it has not come yet."""
        content: bytes | None = super().get(object_id)
        if content == b"":
            return whole(self.read(object_id) or b"")
        return content  # of a small object

    def read(self, name: str) -> Part | None:
        """Return the content of an object that is here, without asking the database; None if there is none."""
        if (held := self._at_hand.get(name)) is not None:
            return held
        try:
            with (self._folder / name).open("rb", buffering=0) as file:
                content = room(os.fstat(file.fileno()).st_size)
                place = 0
                while place < len(content) and (came := file.readinto(content[place:])):
                    place += came
                return content[:place]
        except FileNotFoundError:
            return None

    def content(self, name: str) -> bytes:
        """Return the content of an object that is here; nothing if there is none."""
        return bytes(self.contents([name])[name][:])

    def contents(self, names: Iterable[str]) -> dict[str, Content | StoredContent]:
        """Return the contents of objects, of which large ones are not read yet; nothing for one that is not here.

        Those that were at hand are not any more: an answer is read once.
        """
        found = {name: self.size_of_file(name) for name in names}
        small = self.small(name for name, size in found.items() if not size)

        def large(name: str, size: int) -> Content | StoredContent:
            match self._at_hand.drop(name):
                case [content]:
                    return content
            return StoredContent(self._folder / name, size)

        return {name: large(name, size) if size else small.get(name, b"") for name, size in found.items()}

    def small(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of those of these objects that are kept in the database, at once."""
        wanted = list(names)
        if not wanted:
            return {}
        with self.rows() as rows:
            return {name: content for name, content in rows.execute(_CONTENTS, (json.dumps(wanted),)) if content}

    def size(self, name: str) -> int:
        """Return the length of the content of an object that is here; 0 if there is none."""
        return self.sizes([name])[name]

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the lengths of the contents of objects; 0 for one that is not here."""
        wanted = list(names)
        with self.rows() as rows:
            small = dict(rows.execute(_SIZES, (json.dumps(wanted),)))
        return {name: small.get(name) or self.size_of_file(name) for name in wanted}

    def size_of_file(self, name: str) -> int:
        """Return the length of the file of an object; 0 if there is none, or it is in the database."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return 0

    def has(self, name: str) -> bool:
        """Say whether there is a file for this object, without asking the database."""
        return (self._folder / name).exists()

    def preregister(self, run_id: int, object_tree: Any) -> list[str]:
        """Announce the objects of a tree; give those whose contents are not here. In a transaction.

        Raises:
            ValueError: an object's name is not a SHA-256, or it is known with other parts.
        """
        tree: dict[str, frozenset[str]] = {}
        for part in iterate_object_tree(object_tree):
            children = frozenset(child.object_id for child in part.children)
            if not is_valid_sha256_hash(part.object_id) or len(children) != len(part.children):
                raise ValueError("an object has an impossible name, or a part twice")
            if tree.setdefault(part.object_id, children) != children:
                raise ValueError(f"{part.object_id} has other parts")
        names = json.dumps(list(tree))
        with self.rows() as rows:
            known = dict(rows.execute(_KNOWN, (names,)))
            parts: dict[str, set[str]] = {name: set() for name in known}
            for parent, child in rows.execute(_CHILDREN, (names,)):
                parts[parent].add(child)
            if any(parts[name] != tree[name] for name in known):
                raise ValueError("an object is known with other parts")
            new = [name for name in tree if name not in known]
            pairs = [(name, child) for name in new for child in tree[name]]
            rows.executemany("INSERT INTO objects VALUES (?, x'', 0, 0)", [(name,) for name in new])
            rows.executemany("INSERT INTO object_children (parent_id, child_id) VALUES (?, ?)", pairs)
            rows.executemany(
                "UPDATE objects SET ref_count = ref_count + 1 WHERE object_id = ?", [(child,) for _, child in pairs]
            )
            run = uint64_to_int64(run_id)
            rows.executemany(
                "INSERT OR IGNORE INTO run_objects (run_id, object_id) VALUES (?, ?)", [(run, name) for name in tree]
            )
        return [name for name in tree if not known.get(name)]

    def get_object_tree(self, object_id: str) -> Any:
        """Return an object's name and those of its parts, as Flower's protobuf message.

        Raises:
            NoObjectInStoreError: it is not known.
        """
        parts: dict[str, list[str]] = {}
        with self.rows() as rows:
            if not rows.execute("SELECT 1 FROM objects WHERE object_id = ?", (object_id,)).fetchone():
                raise NoObjectInStoreError(f"{object_id} was not announced")
            for parent, child in rows.execute(_PARTS, (object_id,)):
                parts.setdefault(parent, []).append(child)

        def tree(name: str) -> Any:
            return ObjectTree(object_id=name, children=[tree(child) for child in parts.get(name, [])])

        return tree(object_id)

    def delete(self, object_id: str) -> None:
        """Delete an object and those of its parts that belong to nothing else; in a transaction."""
        names = [object_id]
        with self.rows() as rows:
            while names:
                name = names.pop()
                children = rows.execute("SELECT child_id FROM object_children WHERE parent_id = ?", (name,)).fetchall()
                rows.execute("DELETE FROM objects WHERE object_id = ? AND ref_count = 0", (name,))
                if not rows.rowcount:
                    continue
                self._doubtful.add(name)
                rows.executemany("UPDATE objects SET ref_count = ref_count - 1 WHERE object_id = ?", children)
                names += [child for (child,) in children]

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Cursor]:
        """Yield SQLite's own cursor, in the open transaction: Flower's statements take ten times as long."""
        with self.session() as session:
            session.flush()  # what Flower changed in it and did not write yet
            with closing(session.connection().connection.cursor()) as rows:
                yield cast(sqlite3.Cursor, rows)

    def settle(self) -> None:
        """Before a transaction is complete: see that the files that it speaks of are found after a power cut."""
        if self._moved:
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._moved = False

    def sweep(self) -> None:
        """After a transaction: remove the files of which the database knows nothing any more."""
        if not self._doubtful:
            return
        with self.rows() as rows:
            known = {name for name, _ in rows.execute(_KNOWN, (json.dumps(sorted(self._doubtful)),))}
        for name in self._doubtful - known:
            self._at_hand.drop(name)
            (self._folder / name).unlink(missing_ok=True)
        self._doubtful.clear()


def _check_form(content: Content, length: int) -> None:
    """See that a content has the form of Flower's objects: a head with its kind, its parts and its length, and a body.

    ``content``: its beginning; all of it has ``length`` bytes. As Flower's ``validate_object_content``, without a copy.
    """
    try:
        head, divider, _ = bytes(content[:MOST_HEAD_BYTES]).partition(b"\0")
        kind, parts, size = head.decode().split(" ")
        sound = (
            bool(divider)
            and kind in inflatable_class_registry
            and all(is_valid_sha256_hash(part) for part in parts.split(",") if part)
            and int(size) == length - len(head) - 1
        )
    except ValueError:
        sound = False
    if not sound:
        raise MessageError("a content has not the form of Flower's objects")


_KNOWN = "SELECT object_id, is_available FROM objects WHERE object_id IN (SELECT value FROM json_each(?))"
_SIZES = "SELECT object_id, length(content) FROM objects WHERE object_id IN (SELECT value FROM json_each(?))"
_CONTENTS = "SELECT object_id, content FROM objects WHERE object_id IN (SELECT value FROM json_each(?))"
_AWAITED = (
    "SELECT COUNT(*) FROM object_push_session_pending JOIN object_push_sessions USING (session_id) "
    "JOIN objects USING (object_id) "
    "WHERE session_id = ? AND run_id = ? AND object_id IN (SELECT value FROM json_each(?))"
)
_PENDING = "SELECT pending_count FROM object_push_sessions WHERE session_id = ?"
_RENEW = "UPDATE object_push_sessions SET expires_at = ? WHERE session_id = ? AND expires_at > ?"
_CLAIM = "DELETE FROM object_push_session_pending WHERE session_id = ? AND object_id = ?"
_ONE_LESS = "UPDATE object_push_sessions SET pending_count = pending_count - 1 WHERE session_id = ?"
_CHILDREN = "SELECT parent_id, child_id FROM object_children WHERE parent_id IN (SELECT value FROM json_each(?))"
_PARTS = (
    "WITH RECURSIVE part (name) AS "
    "(VALUES (?) UNION SELECT child_id FROM object_children JOIN part ON parent_id = name) "
    "SELECT parent_id, child_id FROM object_children JOIN part ON parent_id = name"
)
_SAID_TO_BE_HERE = "SELECT object_id FROM objects WHERE is_available = 1 AND length(content) = 0"
