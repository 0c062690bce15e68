"""Flower's SuperLink in the coordinator's process: its state and its messages, without its interfaces.

Used of Flower are the durable link state (``SqlLinkState``, SQLite in WAL mode), the content-addressed objects that
messages are cut into, and the protobuf messages of the Fleet interface. Its web application is not: of that, anybody
who reaches the port could start runs and register nodes. These are private parts of ``flwr==1.42.0``;
``tests/server/test_superlink.py`` says which of them another version changed. Questions and answers outlive this
process: a coordinator that starts again and asks the same gets the answer to what it had asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

from alembic.util import CommandError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Error, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.constant import (
    HEARTBEAT_DEFAULT_INTERVAL,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    SUPERLINK_NODE_ID,
    TIMESTAMP_HEADER,
    ErrorCode,
    Status,
    SubStatus,
)
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.serverapp import Grid
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
    NOOP_FEDERATION_ID,
    NodeStatus,
    TaskType,
)
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supercore.utils import uint64_to_int64
from flwr.superlink.federation import NoOpFederationManager
from google.protobuf.message import DecodeError
from sqlalchemy.exc import DatabaseError

from wardround_common.audit.passage import Passage, Way, passage_of
from wardround_common.errors import FullDiskError, MessageError, RoundError, StorageError
from wardround_common.messages.link_limits import HOLDS_DIGITS, HOLDS_HEADER, LinkLimits
from wardround_common.messages.object_trees import inflate
from wardround_common.storage import alone_in, write_atomically
from wardround_server.link.object_files import ObjectFiles, Written, flush_each_commit
from wardround_server.link.port import Doorway, Port, Refused

log = logging.getLogger(__name__)

DATABASE = "superlink.db"
FLEET = "/v1/fleet/"
HEARTBEAT = FLEET + "send-node-heartbeat"
FORGOTTEN = "forgotten"
"""Why there is no answer: the hospital is there, took the question, and has neither it nor an answer any more."""
CLOCK_S = 300.0  # by how much a hospital's clock may differ
HERE_S = 30.0  # a hospital that was heard within this time is there; it says so every ten seconds
TTL_S = 90 * 86_400.0  # questions of a study do not expire; the study has its own deadlines
SMALL = 65_536  # bytes of an object that is read for what it says of its message
Proto = TypeVar("Proto")


class _LinkState(SqlLinkState):
    """Flower's link state; a run does not fail because no separate process sends heartbeats."""

    def initialize(self, log_queries: bool = False, **engine: Any) -> list[str]:
        """Open the database, so that what was committed outlives a power cut."""
        tables: list[str] = super().initialize(log_queries, **engine)
        flush_each_commit(self)
        return tables

    def _cleanup_expired_task_tokens(self) -> None:
        """Do nothing: the run is driven by this process, and goes on when it starts again."""


@dataclass
class _Upload:
    """An answer of which a part is here."""

    node: int
    message_type: str
    root: str
    came: int
    """Bytes that are here."""

    @property
    def what(self) -> tuple[int, str, str]:
        return self.node, self.message_type, self.root


@dataclass(frozen=True)
class _Node:
    number: int
    name: str
    key: ec.EllipticCurvePublicKey


class SuperLink:
    """The coordinator's end of all links: which hospitals may connect, and the runs that they take part in.

    ``folder`` keeps the database (``superlink.db``), the contents of messages (``objects``) and, for each run, which
    questions are out. ``hold_s``: how long a hospital's question for new messages is held open when there is none.
    ``passed`` is told of each message before it can be fetched or is acknowledged: if it raises StorageError, neither
    happens. ``heart`` is told of each hospital's heartbeat with its headers, and gives those of its answer.
    ``limits``: what is taken from a hospital at most.

    Raises:
        StorageError: another process works with the folder, or its database is damaged or cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        hold_s: float = 4.0,
        passed: Callable[[Passage], None] = lambda passage: None,
        heart: Callable[[str, Mapping[str, str]], Mapping[str, str]] = lambda name, headers: {},
        limits: LinkLimits | None = None,
    ) -> None:
        self.limits = limits or LinkLimits()
        self._alone = ExitStack()
        self._alone.enter_context(alone_in(folder))
        logging.getLogger("flwr").setLevel(logging.CRITICAL)  # it calls each answer that is dropped an error
        self.folder = folder
        try:
            with _trouble_is_said(folder):
                self._open(folder)
        except BaseException:
            self._alone.close()
            raise
        self.started = time.monotonic()
        self.port: Port | None = None
        self._lock = threading.RLock()
        self._depth = 0  # of transactions in transactions
        self._passed = passed
        self.heart = heart
        self._seen: dict[int, float] = {}  # monotonic: a clock that is set moves nobody away
        self._gone: set[int] = set()
        self.forgotten: set[str] = set()  # questions, as LinkGrid will say of them
        self.sending: dict[int, float] = {}  # nodes of whose answers a part is here, since when
        self._fleet = _Fleet(self, hold_s)

    def _open(self, folder: Path) -> None:
        database = str(folder / DATABASE)
        self.objects = ObjectFiles(database, folder / "objects")
        self.objects.initialize()
        self.state = _LinkState(database, NoOpFederationManager(), self.objects)
        self.state.initialize()
        self._nodes: dict[bytes, _Node] = {}
        for info in self.state.get_node_info():
            if info.status != NodeStatus.UNREGISTERED:
                self._nodes[info.public_key] = _Node(info.node_id, info.name, _key(info.public_key))

    def serve(self, host: str, port: int, certificate: Path, key: Path, doorway: Doorway | None = None) -> Port:
        """Open the public port; ``port`` 0 takes a free one, which ``Port.number`` names.

        Raises:
            StorageError: the port is taken, or the certificate or its key cannot be used.
        """
        self.port = Port(self._fleet, host, port, certificate, key, self.limits, doorway)
        self.port.start()
        return self.port

    def stop(self) -> None:
        """Close the port. Runs and what is in them stay, for the next start."""
        self._fleet.wake_all()
        if self.port is not None:
            self.port.stop()
            self.port = None
        for part in (self.state, self.objects):
            engine = part._engine
            if engine is not None:
                engine.dispose()
        self._alone.close()

    def enrol(self, name: str, key: bytes) -> int:
        """Let the hospital of this key connect, from now on and under this name; give its node.

        ``key``: a public key on a NIST curve, as PEM or as OpenSSH writes it. A hospital that is enrolled already gets
        the new key in the place of the old: its node stays, and so do the questions that are out.

        Raises:
            MessageError: it is not such a key, it is another hospital's, or it was revoked.
        """
        public = _read_key(name, key)
        pem = _pem(public)
        with self.transaction():
            owner = self._nodes.get(pem)
            if owner is not None:
                if owner.name != name:
                    raise MessageError(f"{name} has the key of {owner.name}", do="Each hospital makes its own key.")
                return owner.number
            before = next((node for node in self._nodes.values() if node.name == name), None)
            try:
                if before is None:
                    number = self.state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, pem, 0, name=name)
                    # Flower keeps no question for a node that was never active.
                    self.state.activate_node(number, HEARTBEAT_DEFAULT_INTERVAL)
                    self.state.deactivate_node(number)
                else:
                    number = before.number
                    self._taken(pem)
                    self.state.query(
                        "UPDATE node SET public_key = :key WHERE node_id = :node",
                        {"key": pem, "node": uint64_to_int64(number)},
                    )
            except ValueError:
                raise MessageError(
                    f"the key of {name} was revoked", do="Have the hospital make a new key and send a new request."
                ) from None
        if before is not None:
            self._forget(before)
        self._nodes[pem] = _Node(number, name, public)
        return number

    def revoke(self, name: str) -> None:
        """Refuse a hospital from now on, and close its connections. Its key cannot be enrolled again.

        Raises:
            MessageError: there is no such hospital.
        """
        node = next((node for node in self._nodes.values() if node.name == name), None)
        if node is None:
            raise MessageError(f"no hospital is enrolled as {name!r}")
        self._forget(node)
        with self.transaction():
            self.state.delete_node(NOOP_FLWR_AID, node.number)

    def nodes(self) -> dict[int, str]:
        """Name the enrolled hospitals by their nodes."""
        return {node.number: node.name for node in self._nodes.values()}

    def last_seen(self) -> dict[str, float]:
        """Say when each hospital was last heard, in seconds since 1970; only those heard since this process started."""
        began = time.time() - time.monotonic()
        return {name: began + self._seen[node] for node, name in self.nodes().items() if node in self._seen}

    def new_run(self) -> int:
        """Begin a run and give its number, which goes on being valid when this process starts again."""
        with self.transaction():
            run: int = self.state.create_run(
                None, None, None, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
            )
            task = self._run(run).primary_task_id
            if not (run and task and self.state.claim_task(task) and self.state.activate_task(task)):
                raise RoundError("Flower did not start the run")
        return run

    def grid(self, run: int, patience_s: float = 600.0) -> LinkGrid:
        """Return the grid of a run, new or begun before this process started.

        A hospital that is not heard for ``patience_s`` while a question to it is out is given up for that question.

        Raises:
            RoundError: there is no such run, or it has ended.
        """
        if self._status(run) != Status.RUNNING:
            raise RoundError(f"there is no run {run}, or it has ended", do="Start a new one.")
        return LinkGrid(self, run, patience_s)

    def end_run(self, run: int) -> None:
        """End a run: what is out in it is forgotten, and hospitals are told that no answer is wanted."""
        with self.transaction():
            task = self._run(run).primary_task_id
            if task is not None:
                self.state.finish_task(task, SubStatus.COMPLETED, "")
            self.state.cleanup_run(run)
        _out(self.folder, run).unlink(missing_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do several things to the database as one, alone: two that write at a time would refuse each other."""
        with self._lock, _trouble_is_said(self.folder):
            self._depth += 1
            try:
                with self.state.session():
                    yield
                    if self._depth == 1:
                        self.objects.settle()
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.objects.sweep()

    def store(self, run: int, session: str, content: Written) -> bool:
        """Make what was written the object that an upload waits for; False if it waits for none."""
        return bool(self.state.store_object(run, session, content.name, cast(bytes, content)))

    def silence_s(self, node: int) -> float:
        """Say for how long a node was not heard, or how long this process has run if it never was."""
        return time.monotonic() - max(self._seen.get(node, 0.0), self.started)

    def here(self) -> list[int]:
        """Name the nodes that were heard a moment ago and did not say that they go."""
        moment = time.monotonic() - HERE_S
        return sorted(
            node for node in self.nodes() if node not in self._gone and self._seen.get(node, -HERE_S) > moment
        )

    def mail(self, node: int) -> None:
        """Let a node that waits for questions ask again."""
        self._fleet.wake(node)

    def hear(self, node: int) -> None:
        """Note that a node was heard."""
        self._seen[node] = time.monotonic()
        self._gone.discard(node)

    def go(self, node: int) -> None:
        """Note that a node said that it goes: it is not there, and may be back in a moment."""
        self._gone.add(node)

    def enrolled(self, key: bytes) -> _Node | None:
        """Return the node of a key, as PEM."""
        return self._nodes.get(key)

    def running(self, run: int) -> bool:
        """Say whether a run is active."""
        return self._status(run) == Status.RUNNING

    def tell(self, way: Way, node: int, message_type: str, root: str) -> None:
        """Tell of a message that passes; its objects are here."""
        with self.transaction():
            names = [part.object_id for part in iterate_object_tree(self.objects.get_object_tree(root))]
        sizes = {name: self.objects.size(name) for name in names}
        heads = {root: self.objects.get(root) or b""}
        # What an audit log needs besides the sizes: the record of the fields, which is small.
        for name in names:
            if sizes[name] < SMALL and (content := self.objects.get(name) or b"").startswith(b"ConfigRecord "):
                heads[name] = content
                break
        self._passed(passage_of(way, self.nodes().get(node, "?"), message_type, root, sizes, heads, _fields))

    def _status(self, run: int) -> str | None:
        with self.transaction():
            status = self.state.get_run_status({run}).get(run)
        return None if status is None else status.status

    def _run(self, run: int) -> Run:
        runs = self.state.get_run_info(run_ids=[run])
        if not runs:
            raise RoundError(f"there is no run {run}", do="Start a new one.")
        return runs[0]

    def _taken(self, pem: bytes) -> None:
        if self.state.query("SELECT 1 FROM node WHERE public_key = :key", {"key": pem}):
            raise ValueError

    def _forget(self, node: _Node) -> None:
        self._nodes.pop(_pem(node.key), None)
        self._seen.pop(node.number, None)
        if self.port is not None:
            self.port.expel(node.number)


@contextmanager
def _trouble_is_said(folder: Path) -> Iterator[None]:
    """Turn what SQLite says of the disk, or of its own file, into a :class:`StorageError` for a person."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
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


class _Fleet:
    """What hospitals may ask of the port: each request is made by the node whose key signed its head."""

    def __init__(self, link: SuperLink, hold_s: float) -> None:
        self._link = link
        self._hold_s = hold_s
        self._answers: dict[str, Callable[[int, bytes], Any]] = {
            FLEET + "activate-node": self._activate,
            FLEET + "deactivate-node": self._deactivate,
            HEARTBEAT: self._heartbeat,
            FLEET + "pull-messages": self._pull,
            FLEET + "pull-object": self._pull_object,
            FLEET + "confirm-message-received": self._confirm,
            FLEET + "push-messages": self._push,
            FLEET + "push-object": self._push_object,
        }
        self.paths = frozenset(self._answers)
        self._waiting: dict[int, asyncio.Event] = {}
        self._pulled: dict[int, frozenset[str]] = {}
        self._coming: dict[str, _Upload] = {}  # by their session
        self._missed: dict[int, set[str]] = {}  # by node, questions that its last heartbeat did not name
        self._beats: dict[int, tuple[Mapping[str, str], Mapping[str, str]]] = {}

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Say which node asks: its key is enrolled, and signed a time that is about now."""
        try:
            pem = b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
            signature = b64decode(headers[FLEET_HTTP_SIGNATURE_HEADER], validate=True)
            stamp = headers[TIMESTAMP_HEADER]
            age = time.time() - datetime.fromisoformat(stamp).timestamp()
        except (KeyError, ValueError, OverflowError, NotBase64):
            raise Refused(401, "head") from None
        node = self._link.enrolled(pem)
        if node is None:
            raise Refused(401, "key")
        try:
            node.key.verify(signature, stamp.encode(), ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, UnicodeEncodeError):
            raise Refused(401, "signature") from None
        if abs(age) > CLOCK_S:
            raise Refused(401, "clock")
        self._link.hear(node.number)
        if path == HEARTBEAT:
            self._beats[node.number] = headers, {}
        return node.number

    def said(self, path: str, node: int) -> Mapping[str, str]:
        """Return what the answer to a heartbeat carries."""
        return self._beats.get(node, ({}, {}))[1] if path == HEARTBEAT else {}

    async def hold(self, path: str, node: int) -> None:
        """Keep a question for new messages open until there are any, for a few seconds at most."""
        if path != FLEET + "pull-messages":
            return
        event = self._waiting.setdefault(node, asyncio.Event())
        event.clear()
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(None, self._has_mail, node):
            try:
                await asyncio.wait_for(event.wait(), self._hold_s)
            except TimeoutError:
                return

    def wake(self, node: int) -> None:
        """End a node's wait; from any thread."""
        event = self._waiting.get(node)
        if event is not None and self._link.port is not None:
            self._link.port.call_soon(event.set)

    def wake_all(self) -> None:
        """End all waits, now and from now on."""
        self._hold_s = 0.0
        for node in list(self._waiting):
            self.wake(node)

    def answer(self, path: str, node: int, body: bytes) -> bytes:
        """Answer one request of one node."""
        if node not in self._link.nodes():
            raise Refused(401, "key")  # revoked while the request was held
        try:
            return bytes(self._answers[path](node, body).SerializeToString())
        except DecodeError:
            raise Refused(400, "message") from None
        except StorageError as error:
            log.error("%s", error)
            raise Refused(503, "storage") from None

    def _activate(self, node: int, body: bytes) -> Any:
        request = _parse(fleet_pb2.ActivateNodeRequest, body)
        owner = self._link.enrolled(request.public_key)
        if owner is None or owner.number != node:
            raise Refused(403, "node")
        with self._link.transaction():
            # A hospital that crashed comes back immediately; Flower would refuse it until it was silent for a minute.
            self._link.state.deactivate_node(node)
            if not self._link.state.activate_node(node, HEARTBEAT_DEFAULT_INTERVAL):
                raise Refused(403, "node")
        return fleet_pb2.ActivateNodeResponse(node_id=node)

    def _deactivate(self, node: int, body: bytes) -> Any:
        request = _parse(fleet_pb2.DeactivateNodeRequest, body)
        _same(request.node_id, node)
        self._link.go(node)
        return fleet_pb2.DeactivateNodeResponse()

    def _heartbeat(self, node: int, body: bytes) -> Any:
        _same(_parse(heartbeat_pb2.SendNodeHeartbeatRequest, body).node.node_id, node)
        heard, _ = self._beats[node]
        if HOLDS_HEADER in heard:
            self._compare(node, frozenset(heard[HOLDS_HEADER].split(",")))
        self._beats[node] = heard, self._link.heart(self._link.nodes()[node], heard)
        return heartbeat_pb2.SendNodeHeartbeatResponse(success=True)

    def _compare(self, node: int, holds: frozenset[str]) -> None:
        """See whether a hospital still has what it took: a restored or cleared state folder has not.

        It has to miss a question twice, since a heartbeat and a message may cross.
        """
        with self._link.transaction():
            rows = self._link.state.query(_TAKEN, {"node": uint64_to_int64(node)})
        missed = {row["message_id"] for row in rows if row["message_id"][:HOLDS_DIGITS] not in holds}
        self._link.forgotten |= missed & self._missed.get(node, set())
        self._missed[node] = missed

    def _pull(self, node: int, body: bytes) -> Any:
        request = _parse(fleet_pb2.PullMessagesRequest, body)
        _same(request.node.node_id, node)
        state, here = self._link.state, {"node": uint64_to_int64(node)}
        with self._link.transaction():
            # A question whose receipt was not confirmed was lost on its way, and is given again.
            state.query(_GIVE_AGAIN, here)
            state.query(_ANSWERED, here)
            if request.message_ids:  # a hospital that is at something names the types that it takes now
                state.query(_SET_ASIDE, here | {"types": json.dumps(list(request.message_ids))})
            messages = state.get_message_ins(node, 1)
            if request.message_ids:
                state.query(_TAKE_BACK, here)
            try:
                trees = [self._link.objects.get_object_tree(message.metadata.message_id) for message in messages]
                self._check_whole(trees)
            except NoObjectInStoreError:
                state.delete_messages({message.metadata.message_id for message in messages})
                return fleet_pb2.PullMessagesResponse()
        self._pulled[node] = frozenset(part.object_id for tree in trees for part in iterate_object_tree(tree))
        return fleet_pb2.PullMessagesResponse(messages_list=map(message_to_proto, messages), message_object_trees=trees)

    def _check_whole(self, trees: list[Any]) -> None:
        """See that all parts of a question are here; not so if the folder is an older copy, or a disk lost a file."""
        for part in (part for tree in trees for part in iterate_object_tree(tree)):
            if not self._link.objects.size(part.object_id):
                raise NoObjectInStoreError(f"{part.object_id} is not here")

    def _pull_object(self, node: int, body: bytes) -> Any:
        request = _parse(message_pb2.PullObjectRequest, body)
        _same(request.node.node_id, node)
        if request.object_id not in self._pulled.get(node, ()):
            raise Refused(410, "object")  # of no question to this node, or of one before this process started
        content = self._link.objects.read(request.object_id) or self._link.objects.get(request.object_id)
        if not content:
            raise Refused(410, "object")
        return message_pb2.PullObjectResponse(object_found=True, object_available=True, object_content=content)

    def _confirm(self, node: int, body: bytes) -> Any:
        request = _parse(message_pb2.ConfirmMessageReceivedRequest, body)
        _same(request.node.node_id, node)
        with self._link.transaction():
            rows = self._link.state.query(
                "SELECT message_type FROM message_ins WHERE message_id = :id AND dst_node_id = :node "
                "AND EXISTS (SELECT 1 FROM objects WHERE object_id = message_id)",
                {"id": request.message_object_id, "node": uint64_to_int64(node)},
            )
            if rows:
                self._link.tell("delivered", node, rows[0]["message_type"], request.message_object_id)
                self._link.objects.delete(request.message_object_id)
        return message_pb2.ConfirmMessageReceivedResponse()

    def _push(self, node: int, body: bytes) -> Any:
        request = _parse(fleet_pb2.PushMessagesRequest, body)
        _same(request.node.node_id, node)
        if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
            raise Refused(400, "message")
        metadata, tree = request.messages_list[0].metadata, request.message_object_trees[0]
        if metadata.src_node_id != node:
            raise Refused(403, "sender")
        if not metadata.reply_to_message_id or metadata.message_id != tree.object_id:
            raise Refused(400, "message")
        limits = self._link.limits
        names = [part.object_id for part in islice(iterate_object_tree(tree), limits.parts + 1)]
        if len(names) > limits.parts:
            raise Refused(413, "size")
        if not self._link.running(metadata.run_id):
            raise Refused(410, "run")
        asked = self._type_of(metadata.reply_to_message_id)
        if asked is None:
            raise Refused(410, "question")
        if asked != metadata.message_type:
            raise Refused(400, "message")
        try:
            message = message_from_proto(request.messages_list[0])
            with self._link.transaction():
                session = self._link.state.start_session(metadata.run_id)
                stored, missing = self._link.state.store_message_and_object_tree(message, tree, session)
                if stored and not missing:
                    self._link.tell("in", node, metadata.message_type, tree.object_id)
        except (ValueError, KeyError, TypeError):
            raise Refused(400, "message") from None
        if not stored:
            raise Refused(410, "question")  # not asked of this node, answered already, or not wanted any more
        if missing:
            self._link.sending[node] = time.time()
            came = sum(self._link.objects.size(name) for name in set(names).difference(missing))
            coming = _Upload(node, metadata.message_type, tree.object_id, came)
            for before in [name for name, other in self._coming.copy().items() if other.what == coming.what]:
                self._coming.pop(before, None)  # it was broken off
            self._coming[session] = coming
        return fleet_pb2.PushMessagesResponse(objects_to_push=missing, session_id=session)

    def _push_object(self, node: int, body: bytes) -> Any:
        request = _parse(message_pb2.PushObjectRequest, body)
        _same(request.node.node_id, node)
        coming = self._coming.get(request.session_id)
        if coming is None or coming.node != node:
            raise Refused(410, "session")
        if coming.came + len(request.object_content) > self._link.limits.message_bytes(coming.message_type):
            self._coming.pop(request.session_id, None)
            raise Refused(413, "size")
        whole = False
        try:
            with (
                self._link.objects.written(request.object_id, request.object_content) as content,
                self._link.transaction(),
            ):
                stored = self._link.store(request.run_id, request.session_id, content)
                whole = stored and not self._link.state.query(_UNFINISHED, {"session": request.session_id})
                if whole:
                    self._link.tell("in", *coming.what)
        except MessageError:
            stored = False  # damaged on its way: it is sent again
        if stored:
            coming.came += len(request.object_content)
        if whole or not stored:
            self._coming.pop(request.session_id, None)
        if not stored:
            raise Refused(410, "session")
        if whole:
            self._link.sending.pop(node, None)
        return message_pb2.PushObjectResponse(stored=True)

    def _type_of(self, question: str) -> str | None:
        with self._link.transaction():
            query = "SELECT message_type FROM message_ins WHERE message_id = :id"
            rows = self._link.state.query(query, {"id": question})
        return str(rows[0]["message_type"]) if rows else None

    def _has_mail(self, node: int) -> bool:
        with self._link.transaction():
            return bool(self._link.state.query(_HAS_MAIL, {"node": uint64_to_int64(node)}))


# Questions that a node has confirmed, and to which no answer is here whole.
_TAKEN = (
    "SELECT message_id FROM message_ins WHERE dst_node_id = :node AND delivered_at != '' "
    "AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.object_id = message_ins.message_id) "
    "AND NOT EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id "
    "AND NOT EXISTS (SELECT 1 FROM object_push_session_roots JOIN object_push_session_pending USING (session_id) "
    "WHERE root_object_id = message_res.message_id))"
)
# Questions to a node that were given out, whose objects are still kept for it, and that have no answer.
_UNCONFIRMED = (
    "(dst_node_id = :node AND delivered_at != '' "
    "AND EXISTS (SELECT 1 FROM objects WHERE objects.object_id = message_ins.message_id) "
    "AND NOT EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id))"
)
_GIVE_AGAIN = f"UPDATE message_ins SET delivered_at = '' WHERE {_UNCONFIRMED}"  # noqa: S608  # no value is put in
# Questions that were given out again, and were answered by a hospital that had them: they are not given once more.
_ANSWERED = (
    "UPDATE message_ins SET delivered_at = 'answered' WHERE dst_node_id = :node AND delivered_at = '' "
    "AND EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id)"
)
_HAS_MAIL = (
    "SELECT 1 FROM message_ins WHERE dst_node_id = :node AND delivered_at = '' AND NOT EXISTS ("  # noqa: S608
    "SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id) "
    f"OR {_UNCONFIRMED}"
)

# Within one transaction: questions of other types than those that are asked for.
_SET_ASIDE = (
    "UPDATE message_ins SET delivered_at = 'aside' WHERE dst_node_id = :node AND delivered_at = '' "
    "AND message_type NOT IN (SELECT value FROM json_each(:types))"
)
_TAKE_BACK = "UPDATE message_ins SET delivered_at = '' WHERE dst_node_id = :node AND delivered_at = 'aside'"

# Answers that are here whole: nothing of them is still to be pushed.
_COMPLETE = (
    "SELECT message_id, reply_to_message_id FROM message_res WHERE run_id = :run AND NOT EXISTS ("
    "SELECT 1 FROM object_push_session_roots JOIN object_push_session_pending USING (session_id) "
    "WHERE root_object_id = message_res.message_id)"
)


# Questions of a run, answered or not; and one that has no answer, nor a part of one.
_ASKED = "SELECT message_id FROM message_ins WHERE run_id = :run"
_UNANSWERED = (
    "SELECT 1 FROM message_ins WHERE message_id = :id AND NOT EXISTS ("
    "SELECT 1 FROM message_res WHERE reply_to_message_id = :id)"
)


# A session of Flower's ends when all objects of a message are here.
_UNFINISHED = "SELECT 1 FROM object_push_sessions WHERE session_id = :session"


class LinkGrid(Grid):
    """Flower's Grid over the link state of this process.

    ``push_messages`` remembers on disk what is out. After a restart, a question with the same content to the same node
    is no new one: if its answer is here, or it waits here whole, that counts. If not, it is put again under its own
    name: a hospital that has it or its answer on its disk only confirms it, and one that has neither, whose answer a
    database that was rolled back does not know, works on it again. A process that asks the same twice gets two answers.
    """

    def __init__(self, link: SuperLink, run: int, patience_s: float) -> None:
        self._link = link
        self._run_id = run
        self._here = {"run": uint64_to_int64(run)}
        self._patience_s = patience_s
        # Node and type of message: digest of the content, id of the message, when it was made.
        self._out: dict[str, list[str]] = {}
        path = _out(link.folder, run)
        try:
            noted = json.loads(path.read_bytes())
            self._out = {str(slot): [str(part) for part in parts] for slot, parts in noted.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError):  # as after a restored backup, all is asked again
            log.warning("the pending questions of run %d cannot be read (%s); they are asked again", run, path)
        self._fresh: set[str] = set()  # ids that this process has pushed or taken over
        self._node_of: dict[str, int] = {}
        self._undeliverable: set[str] = set()
        # Flower stamps messages with what it takes for the one run of the process; ``push_messages`` says which it is.
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = SUPERLINK_NODE_ID

    def set_run(self, run: Run) -> None:
        """Do nothing: the run was named when the grid was made."""

    @property
    def run(self) -> Run:
        """The run as Flower describes it."""
        return self._link._run(self._run_id)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message (Flower's older form)."""
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Name the nodes that are there now."""
        return self._link.here()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Put questions, or take over those that are out already; they are on disk when this returns."""
        ids: list[str] = []
        new: list[Message] = []
        old: list[str] = []
        again: set[str] = set()
        out = dict(self._out)
        with no_object_id_recompute():
            for message in messages:
                node, what = message.metadata.dst_node_id, message.metadata.message_type
                content, slot = message.content.object_id, f"{node} {what}"
                digest, name, *made = out.get(slot, ["", ""])
                same = digest == content and name not in self._fresh
                if same and self._is_out(name):
                    taken_over = name
                else:
                    if same and made:  # an earlier version did not note it
                        message.metadata.__dict__["_created_at"] = float(made[0])
                    self._stamp(message)
                    taken_over = message.object_id
                    if taken_over == name:
                        again.add(name)
                    elif name:
                        old.append(name)
                        self._forget(name)
                    message.metadata.__dict__["_message_id"] = taken_over
                    new.append(message)
                    out[slot] = [content, taken_over, repr(message.metadata.created_at)]
                self._fresh.add(taken_over)
                self._node_of[taken_over] = node
                ids.append(taken_over)
            write_atomically(_out(self._link.folder, self._run_id), json.dumps(out).encode())
            self._out = out
            self._drop(old)
            for message in new:
                self._store(message, message.metadata.message_id in again)
        for node in {self._node_of[each] for each in ids}:
            self._link.mail(node)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the answers that are here; for a hospital that was silent for too long, an error in its place."""
        wanted = set(message_ids)
        with self._link.transaction():
            rows = self._link.state.query(_COMPLETE, self._here)
            known = {row["message_id"] for row in self._link.state.query(_ASKED, self._here)}
        complete = {row["reply_to_message_id"]: row["message_id"] for row in rows}
        replies = []
        for question in wanted:
            node = self._node_of[question]
            if question in complete:
                replies.append(self._reply(question, node, complete[question]))
            elif question in self._undeliverable or node not in self._link.nodes():
                replies.append(self._absence(question, node, "revoked"))
            elif question not in known:  # a disk lost a part of it: nobody can be given it any more
                replies.append(self._absence(question, node, "lost"))
            elif question in self._link.forgotten:
                self._drop([question])
                replies.append(self._absence(question, node, FORGOTTEN))
            elif self._link.silence_s(node) > self._patience_s:
                self._drop([question])
                replies.append(self._absence(question, node, "silent"))
        return replies

    def take_back(self, questions: Mapping[str, str]) -> None:
        """Take back questions, each with its reason: an answer that comes now is refused, and what came of one is
        deleted unread.
        """
        for question, why in questions.items():
            node = self._node_of[question]
            log.warning("no answer from %s: %s", self._link.nodes().get(node, node), why)
        self._drop(questions)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask questions and wait for all answers, or until the timeout in seconds."""
        waiting, replies = set(self.push_messages(messages)), []
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while waiting and time.monotonic() < until:
            came = self.pull_messages(waiting)
            replies += came
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            if waiting and not came:
                time.sleep(0.02)
        return replies

    def _forget(self, question: str) -> None:
        self._fresh.discard(question)
        self._node_of.pop(question, None)
        self._undeliverable.discard(question)

    def _stamp(self, message: Message) -> None:
        metadata = message.metadata.__dict__
        metadata["_run_id"] = self._run_id
        metadata["_src_node_id"] = SUPERLINK_NODE_ID
        metadata["_src_task_id"] = None
        metadata["_ttl"] = TTL_S

    def _is_out(self, question: str) -> bool:
        """Say whether a question needs nothing more: its answer is here, or it waits here whole to be given."""
        state, objects = self._link.state, self._link.objects
        with self._link.transaction():
            if state.query(f"{_COMPLETE} AND reply_to_message_id = :id", self._here | {"id": question}):
                return True
            if not state.query(_UNANSWERED, {"id": question}):
                return False
            try:
                tree = objects.get_object_tree(question)
            except NoObjectInStoreError:
                return False  # its receipt was confirmed
            return all(objects.size(part.object_id) for part in iterate_object_tree(tree))

    def _store(self, message: Message, again: bool) -> None:
        """Keep a question; ``again``: in the place of what is left of it, and of a part of its answer."""
        question, state, objects = message.metadata.message_id, self._link.state, self._link.objects
        tree, parts = get_object_tree(message), get_all_nested_objects(message)
        with ExitStack() as open_things:
            written = {  # what is there already was written for another hospital
                name: open_things.enter_context(objects.written(name, part.deflate()))
                for name, part in parts.items()
                if not objects.has(name)
            }
            open_things.enter_context(self._link.transaction())
            told = again and state.query("SELECT 1 FROM message_ins WHERE message_id = :id", {"id": question})
            if again:
                if self._is_out(question):
                    return  # its answer came in this moment
                self._drop([question])
            # So that nobody is given a question of which a part is missing.
            session = state.start_session(self._run_id)
            stored, missing = state.store_message_and_object_tree(remove_content_from_message(message), tree, session)
            if not stored:
                self._undeliverable.add(question)
                return
            for name in missing:
                if name not in written:  # removed in this moment
                    written[name] = open_things.enter_context(objects.written(name, parts[name].deflate()))
                if not self._link.store(self._run_id, session, written[name]):
                    raise RoundError("Flower did not keep a question", where=str(self._link.folder))
            if not told:
                self._link.tell("out", message.metadata.dst_node_id, message.metadata.message_type, question)

    def _reply(self, question: str, node: int, answer: str) -> Message:
        try:
            with self._link.transaction():
                tree = self._link.objects.get_object_tree(answer)
                names = {part.object_id for part in iterate_object_tree(tree)}
            contents = {name: self._link.objects.read(name) or self._link.objects.get(name) or b"" for name in names}
            reply = inflate(answer, contents, inflatable_class_registry)
        except Exception as error:  # noqa: BLE001  # it was made by somebody else: whatever is wrong is wrong with it
            return self._absence(question, node, "unreadable", type(error).__name__)
        # What the port checked is the envelope. The letter could name another sender.
        if not isinstance(reply, Message) or (
            (reply.metadata.src_node_id, reply.metadata.reply_to_message_id) != (node, question)
        ):
            return self._absence(question, node, "unreadable", "it names another sender or question than it came from")
        reply.metadata.__dict__["_message_id"] = answer
        return reply

    def _absence(self, question: str, node: int, why: str, more: str = "") -> Message:
        """Return an error with a fixed word in the place of an answer."""
        log.warning("no answer from %s: %s %s", self._link.nodes().get(node, node), why, more)
        metadata = Metadata(self._run_id, "", node, SUPERLINK_NODE_ID, question, "", time.time(), TTL_S, "query")
        return make_message(metadata, error=Error(ErrorCode.NODE_UNAVAILABLE, why))

    def _drop(self, questions: Iterable[str]) -> None:
        dropped = set(questions)
        if not dropped:
            return
        self._link.forgotten -= dropped
        with self._link.transaction():
            for question in dropped:
                rows = self._link.state.query(
                    "SELECT message_id FROM message_res WHERE reply_to_message_id = :id", {"id": question}
                )
                for name in [question, *(row["message_id"] for row in rows)]:
                    self._link.objects.delete(name)
            self._link.state.delete_messages(dropped)


def _fields(record: bytes) -> dict[str, object]:
    return dict(ConfigRecord.inflate(record))


def _out(folder: Path, run: int) -> Path:
    return folder / f"run-{run}.json"


def _parse(kind: type[Proto], body: bytes) -> Proto:
    request: Any = kind()
    request.ParseFromString(body)
    return cast(Proto, request)


def _same(claimed: int, node: int) -> None:
    if claimed != node:
        raise Refused(403, "node")


def _read_key(name: str, key: bytes) -> ec.EllipticCurvePublicKey:
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
    return _read_key("an enrolled hospital", pem)


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
