"""What hospitals may ask of the coordinator's port: Flower's Fleet interface, and nothing besides."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import (
    HEARTBEAT_DEFAULT_INTERVAL,
    TIMESTAMP_HEADER,
)
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
)
from flwr.supercore.inflatable.inflatable_object import (
    iterate_object_tree,
)
from flwr.supercore.object_store import NoObjectInStoreError
from flwr.supercore.utils import uint64_to_int64
from google.protobuf.message import DecodeError

from wardround_common.canonical import Content, Part, length, pieces
from wardround_common.errors import MessageError, StorageError
from wardround_common.messages.link_limits import HOLDS_DIGITS, HOLDS_HEADER
from wardround_common.messages.transfers import GROUP_BYTES, LENGTH_BYTES, read_pull, read_push
from wardround_server.link import pending
from wardround_server.link.clocks import CLOCK_S
from wardround_server.link.link_core import LinkCore
from wardround_server.link.port import Refused, refused_by_disk

log = logging.getLogger(__name__)

FLEET = "/v1/fleet/"
HEARTBEAT = FLEET + "send-node-heartbeat"
Proto = TypeVar("Proto")
Framed = TypeVar("Framed")


@dataclass
class _Upload:
    """An answer of which a part is here."""

    node: int
    message_type: str
    root: str
    came: int
    """Bytes that are here, or are being written."""
    counting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def what(self) -> tuple[int, str, str]:
        return self.node, self.message_type, self.root

    def takes(self, size: int, most: int) -> bool:
        """Count bytes that come, several at a time; False if they would be more than ``most`` together."""
        with self.counting:
            if self.came + size > most:
                return False
            self.came += size
            return True

    def gives_back(self, size: int) -> None:
        """Count bytes no more, which were not kept."""
        with self.counting:
            self.came -= size


class Fleet:
    """What hospitals may ask of the port: each request is made by the node whose key signed its head."""

    def __init__(self, link: LinkCore, hold_s: float) -> None:
        self._link = link
        self._hold_s = hold_s
        self._answers: dict[str, Callable[[int, Content], Any]] = {
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
            self._link.refuse_clock(node.number, age)
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

    def answer(self, path: str, node: int, body: Content) -> list[Content]:
        """Answer one request of one node, in pieces."""
        if node not in self._link.nodes():
            raise Refused(401, "key")  # revoked while the request was held
        try:
            answer = self._answers[path](node, body)
            return answer if isinstance(answer, list) else [answer.SerializeToString()]
        except DecodeError:
            raise Refused(400, "message") from None
        except StorageError as error:
            log.error("%s", error)
            raise refused_by_disk(error) from None

    def _activate(self, node: int, body: Content) -> Any:
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

    def _deactivate(self, node: int, body: Content) -> Any:
        request = _parse(fleet_pb2.DeactivateNodeRequest, body)
        _same(request.node_id, node)
        self._link.go(node)
        return fleet_pb2.DeactivateNodeResponse()

    def _heartbeat(self, node: int, body: Content) -> Any:
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
            rows = self._link.state.query(pending.TAKEN, {"node": uint64_to_int64(node)})
        missed = {row["message_id"] for row in rows if row["message_id"][:HOLDS_DIGITS] not in holds}
        self._link.forgotten |= missed & self._missed.get(node, set())
        self._missed[node] = missed

    def _pull(self, node: int, body: Content) -> Any:
        request = _parse(fleet_pb2.PullMessagesRequest, body)
        _same(request.node.node_id, node)
        state, here = self._link.state, {"node": uint64_to_int64(node)}
        with self._link.transaction():
            self._link.need_not_last()  # what is not confirmed is given again
            # A question whose receipt was not confirmed was lost on its way, and is given again.
            state.query(pending.GIVE_AGAIN, here)
            state.query(pending.ANSWERED, here)
            if request.message_ids:  # a hospital that is at something names the types that it takes now
                state.query(pending.SET_ASIDE, here | {"types": json.dumps(list(request.message_ids))})
            messages = state.get_message_ins(node, 1)
            if request.message_ids:
                state.query(pending.TAKE_BACK, here)
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
        sizes = self._link.objects.sizes(part.object_id for tree in trees for part in iterate_object_tree(tree))
        for name, size in sizes.items():
            if not size:
                raise NoObjectInStoreError(f"{name} is not here")

    def _pull_object(self, node: int, body: Content) -> list[Content]:
        head, names = _framed(read_pull, body, self._link.limits.parts)
        _same(_parse(message_pb2.PullObjectRequest, head).node.node_id, node)
        if not self._pulled.get(node, frozenset()).issuperset(names):
            raise Refused(410, "object")  # of no question to this node, or of one before this process started
        contents: list[Part] = []
        small = self._link.objects.small(names)
        size, room = 0, self._link.limits.body_bytes
        for name in names:
            if contents and size >= GROUP_BYTES:
                break  # the hospital asks for the rest again
            content = small.get(name) or self._link.objects.read(name)
            if not content:
                raise Refused(410, "object")
            size += length(content)
            room -= length(content) + LENGTH_BYTES
            if contents and room < 0:
                break
            contents.append(content)
        return pieces(*contents)

    def _confirm(self, node: int, body: Content) -> Any:
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

    def _push(self, node: int, body: Content) -> Any:
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
            came = sum(self._link.objects.sizes(set(names).difference(missing)).values())
            coming = _Upload(node, metadata.message_type, tree.object_id, came)
            for before in [name for name, other in self._coming.copy().items() if other.what == coming.what]:
                self._coming.pop(before, None)  # it was broken off
            self._coming[session] = coming
        else:
            self._link.answered()
        return fleet_pb2.PushMessagesResponse(objects_to_push=missing, session_id=session)

    def _push_object(self, node: int, body: Content) -> Any:
        head, contents = _framed(read_push, body, self._link.limits.parts)
        request = _parse(message_pb2.PushObjectRequest, head)
        _same(request.node.node_id, node)
        if not contents:
            raise Refused(400, "message")  # whoever brings nothing completes nothing
        coming = self._coming.get(request.session_id)
        if coming is None or coming.node != node:
            raise Refused(410, "session")
        size = sum(map(len, contents.values()))
        if not coming.takes(size, self._link.limits.message_bytes(coming.message_type)):
            self._coming.pop(request.session_id, None)
            raise Refused(413, "size")
        whole = False
        try:
            with ExitStack() as open_things:
                written = [
                    open_things.enter_context(self._link.objects.written(name, content))
                    for name, content in contents.items()
                ]
                open_things.enter_context(self._link.transaction())
                if self._link.objects.awaits_more(request.session_id, len(written)):
                    self._link.need_not_last()  # the hospital keeps its answer until all of it is here
                stored = self._link.store(request.run_id, request.session_id, written)
                whole = stored and not self._link.objects.awaits_more(request.session_id, 0)
                if whole:
                    self._link.tell("in", *coming.what)
        except MessageError:
            stored = False  # damaged on its way: it is sent again
        except BaseException:
            coming.gives_back(size)
            raise
        if whole or not stored:
            self._coming.pop(request.session_id, None)
        if not stored:
            raise Refused(410, "session")
        if whole:
            self._link.sending.pop(node, None)
            self._link.answered()
        return message_pb2.PushObjectResponse(stored=True)

    def _type_of(self, question: str) -> str | None:
        with self._link.transaction(), self._link.objects.rows() as rows:
            found = rows.execute("SELECT message_type FROM message_ins WHERE message_id = ?", (question,)).fetchone()
        return str(found[0]) if found else None

    def _has_mail(self, node: int) -> bool:
        with self._link.transaction(), self._link.objects.rows() as rows:
            return rows.execute(pending.HAS_MAIL, {"node": uint64_to_int64(node)}).fetchone() is not None


def _parse(kind: type[Proto], body: Content) -> Proto:
    request: Any = kind()
    request.ParseFromString(bytes(body))
    return cast(Proto, request)


def _framed(read: Callable[[Content, int], Framed], body: Content, most: int) -> Framed:
    try:
        return read(body, most)
    except MessageError:  # a hospital of an earlier version shows the status to its people
        raise Refused(426, "version") from None


def _same(claimed: int, node: int) -> None:
    if claimed != node:
        raise Refused(403, "node")
