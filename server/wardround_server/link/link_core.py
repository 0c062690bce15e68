"""The link's state in the coordinator's process: enrolled hospitals and when each was heard, runs, messages."""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from alembic.util import CommandError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord
from flwr.common.constant import (
    Status,
)
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.constant import (
    NodeStatus,
)
from flwr.supercore.inflatable.inflatable_object import (
    iterate_object_tree,
)
from flwr.supercore.run import Run
from flwr.superlink.federation import NoOpFederationManager
from sqlalchemy.exc import DatabaseError

from wardround_common.audit.passage import Passage, Way, content_of, fields_of, passage_of
from wardround_common.errors import FullDiskError, MessageError, RoundError, StorageError
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.storage import is_out_of_room
from wardround_server.link.object_files import ObjectFiles, Written, flush_each_commit, forget
from wardround_server.link.port import Port

DATABASE = "superlink.db"
CLOCK_SEEN_S = 90.0  # a hospital that is refused tries again at least every 30 s
HERE_S = 30.0  # a hospital that was heard within this time is there; it says so every ten seconds
SMALL = 65_536  # bytes of an object that is read for what it says of its message


class _LinkState(SqlLinkState):
    """Flower's link state; a run does not fail because no separate process sends heartbeats."""

    def initialize(self, log_queries: bool = False, **engine: Any) -> list[str]:
        """Open the database, so that what was committed outlives a power cut."""
        tables: list[str] = super().initialize(log_queries, **engine)
        flush_each_commit(self)
        return tables

    def _cleanup_expired_task_tokens(self) -> None:
        """Do nothing: the run is driven by this process, and goes on when it starts again."""


@dataclass(frozen=True)
class Node:
    """An enrolled hospital: its number in Flower's state, its name, its public key."""

    number: int
    name: str
    key: ec.EllipticCurvePublicKey


class LinkCore(ABC):
    """What the parts of a :class:`~wardround_server.link.superlink.SuperLink` share.

    Raises:
        StorageError: the folder's database is damaged or cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        passed: Callable[[Passage], None],
        heart: Callable[[str, Mapping[str, str]], Mapping[str, str]],
        limits: LinkLimits,
    ) -> None:
        self.folder = folder
        self.heart = heart
        self.limits = limits
        self.port: Port | None = None
        self._passed = passed
        with _trouble_is_said(folder):
            self._open(folder)
        self.started = time.monotonic()
        self._lock = threading.RLock()
        self._depth = 0  # of transactions in transactions
        self._lasts = True  # whether a power cut may not undo the open transaction
        self._seen: dict[int, float] = {}  # monotonic: a clock that is set moves nobody away
        self._gone: set[int] = set()
        self._behind: dict[int, tuple[float, float]] = {}  # nodes refused for their clocks: seconds behind, and when
        self.forgotten: set[str] = set()  # questions, as LinkGrid will say of them
        self.sending: dict[int, float] = {}  # nodes of whose answers a part is here, since when
        self.came = 0  # answers that are here whole, since this process started
        self._coming_whole = threading.Condition()

    def _open(self, folder: Path) -> None:
        database = str(folder / DATABASE)
        self.objects = ObjectFiles(database, folder / "objects")
        self.objects.initialize()
        self.state = _LinkState(database, NoOpFederationManager(), self.objects)
        self.state.initialize()
        self._nodes: dict[bytes, Node] = {}
        for info in self.state.get_node_info():
            if info.status != NodeStatus.UNREGISTERED:
                self._nodes[info.public_key] = Node(info.node_id, info.name, _key(info.public_key))

    def nodes(self) -> dict[int, str]:
        """Name the enrolled hospitals by their nodes."""
        return {node.number: node.name for node in self._nodes.values()}

    def last_seen(self) -> dict[str, float]:
        """Say when each hospital was last heard, in seconds since 1970; only those heard since this process started."""
        began = time.time() - time.monotonic()
        return {name: began + self._seen[node] for node, name in self.nodes().items() if node in self._seen}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do several things to the database as one, alone: two that write at a time would refuse each other."""
        with self._lock, _trouble_is_said(self.folder):
            self._depth += 1
            try:
                with self.state.session():
                    yield
                    if self._depth == 1 and self._lasts:
                        self.objects.settle()
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._lasts = True
                    self.objects.sweep()

    def need_not_last(self) -> None:
        """In a transaction that has changed nothing yet: a power cut may undo it, since it is then done again."""
        if self._depth == 1:
            self.objects.need_not_last()
            self._lasts = False

    def forget_deleted(self) -> None:
        """Leave nothing of deleted answers on the disk: under plain sums a small one is a hospital's whole update."""
        with self._lock, _trouble_is_said(self.folder):
            if self._depth == 0:
                forget(self.state)

    def store(self, run: int, session: str, contents: Sequence[Written]) -> bool:
        """Make what was written the objects that an upload waits for; False, and none is, if it waits for less."""
        if not self.objects.awaited(run, session, [content.name for content in contents]):
            return False
        *first, last = contents
        more = self.objects.awaits_more(session, len(contents)) and self.objects.renew(session)
        try:
            for content in contents if more else first:
                self.objects.put_awaited(session, content)
            stored = more or bool(self.state.store_object(run, session, last.name, cast(bytes, last)))
        finally:
            trouble, self.objects.trouble = self.objects.trouble, None
        if trouble is not None:
            raise trouble
        return stored

    def silence_s(self, node: int) -> float:
        """Say for how long a node was not heard, or how long this process has run if it never was."""
        return time.monotonic() - max(self._seen.get(node, 0.0), self.started)

    def here(self) -> list[int]:
        """Name the nodes that were heard a moment ago and did not say that they go."""
        moment = time.monotonic() - HERE_S
        return sorted(
            node for node in self.nodes() if node not in self._gone and self._seen.get(node, -HERE_S) > moment
        )

    def hear(self, node: int) -> None:
        """Note that a node was heard."""
        self._seen[node] = time.monotonic()
        self._gone.discard(node)
        self._behind.pop(node, None)

    def refuse_clock(self, node: int, behind_s: float) -> None:
        """Note that a node was refused for its clock, which is ``behind_s`` seconds behind ours; ahead if negative."""
        self._behind[node] = behind_s, time.monotonic()

    def clocks(self) -> dict[str, float]:
        """Say by how many seconds the clocks are behind ours of hospitals that are refused for that now."""
        since = time.monotonic() - CLOCK_SEEN_S
        behind = self._behind.copy()
        return {
            name: behind[node][0] for node, name in self.nodes().items() if node in behind and behind[node][1] > since
        }

    def go(self, node: int) -> None:
        """Note that a node said that it goes: it is not there, and may be back in a moment."""
        self._gone.add(node)

    def enrolled(self, key: bytes) -> Node | None:
        """Return the node of a key, as PEM."""
        return self._nodes.get(key)

    def running(self, run: int) -> bool:
        """Say whether a run is active."""
        return self._status(run) == Status.RUNNING

    def tell(self, way: Way, node: int, message_type: str, root: str) -> None:
        """Tell of a message that passes; its objects are here."""
        with self.transaction():
            names = [part.object_id for part in iterate_object_tree(self.objects.get_object_tree(root))]
            sizes = self.objects.sizes(names)
        heads = {root: bytes(self.objects.content(root))}
        # What an audit log needs besides the sizes: the content and its record of fields, which are small.
        for name_in, head in ((content_of, root), (fields_of, content_of(heads[root]))):
            if 0 < sizes.get(name := name_in(heads.get(head, b"")), 0) < SMALL:
                heads[name] = bytes(self.objects.content(name))
        self._passed(passage_of(way, self.nodes().get(node, "?"), message_type, root, sizes, heads, _fields))

    def answered(self) -> None:
        """Let those who wait for answers look: one is here whole, and will be found."""
        with self._coming_whole:
            self.came += 1
            self._coming_whole.notify_all()

    def rest(self, came: int, seconds: float) -> int:
        """Wait until more answers than ``came`` are here, or for a number of seconds; say how many are here."""
        with self._coming_whole:
            self._coming_whole.wait_for(lambda: self.came != came, seconds)
            return self.came

    @abstractmethod
    def mail(self, node: int) -> None:
        """Let a node that waits for questions ask again."""

    def _status(self, run: int) -> str | None:
        with self.transaction():
            status = self.state.get_run_status({run}).get(run)
        return None if status is None else status.status

    def run_of(self, run: int) -> Run:
        """Return a run as Flower describes it.

        Raises:
            RoundError: there is none of that number.
        """
        runs = self.state.get_run_info(run_ids=[run])
        if not runs:
            raise RoundError(f"there is no run {run}", do="Start a new one.")
        return runs[0]


@contextmanager
def _trouble_is_said(folder: Path) -> Iterator[None]:
    """Turn what SQLite says of the disk, or of its own file, into a :class:`StorageError` for a person."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if is_out_of_room(cause, folder):
            raise FullDiskError(
                "the disk is full", where=str(folder), do="Make room, then resume the run; completed rounds are kept."
            ) from error
        if code in _DAMAGED:
            raise StorageError(
                "the database of questions and answers is damaged",
                where=str(folder / DATABASE),
                do=f"Restore the folder from your backup. Without one: move {DATABASE} and the files that begin with "
                "its name away; runs continue from their last completed round, and ask anew.",
            ) from error
        if code in _WITHHELD:
            raise StorageError(
                f"the database of questions and answers cannot be used ({cause})",
                where=str(folder / DATABASE),
                do="Check that the disk is there, and that this user may write the folder and what is in it.",
            ) from error
        raise
    except CommandError as error:
        raise StorageError(
            f"the database of questions and answers was written by another version of Flower than {version('flwr')}",
            where=str(folder / DATABASE),
            do="A newer Wardround has served from this folder: start that one, or restore the backup from before.",
        ) from error


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WITHHELD = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)


def _fields(record: bytes) -> dict[str, object]:
    return dict(ConfigRecord.inflate(record))


def read_key(name: str, key: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key on a NIST curve, as PEM or as OpenSSH writes it.

    Raises:
        MessageError: it is not such a key.
    """
    try:
        public: Any = (
            serialization.load_pem_public_key(key)
            if key.lstrip().startswith(b"-----")
            else serialization.load_ssh_public_key(key)
        )
    except (ValueError, TypeError):
        public = None
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise MessageError(f"the node key of {name} is not a public key on a NIST curve")
    return public


def _key(pem: bytes) -> ec.EllipticCurvePublicKey:
    return read_key("an enrolled hospital", pem)


def pem_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as PEM, by which the state knows it."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
