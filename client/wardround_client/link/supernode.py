"""The hospital's end of its link to the coordinator: it asks, outbound only, and its own installed ClientApp answers.

It speaks Flower's Fleet messages (``flwr==1.42.0``) and runs nothing that a coordinator sends: no code is fetched, no
redirect is followed, nothing is unpickled. A question is on this disk before its receipt is confirmed, and **an answer
is on this disk before a byte of it leaves**: a process that is killed at any moment sends the same bytes when it starts
again, never a second answer.
"""

from __future__ import annotations

import logging
import random
import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.clientapp import ClientApp
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, TIMESTAMP_HEADER, ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from google.protobuf.message import DecodeError

from wardround_client.link.mailbox import Mailbox
from wardround_common.audit.passage import COORDINATOR, Passage, Way, passage_of
from wardround_common.errors import LinkError, MessageError, StorageError, WardroundError
from wardround_common.keys.certificates import client_context, refused
from wardround_common.messages.link_limits import HOLDS_DIGITS, HOLDS_HEADER, SHORT, LinkLimits
from wardround_common.messages.object_trees import inflate
from wardround_common.storage import alone_in

log = logging.getLogger(__name__)

FLEET = "/v1/fleet/"
PROTOBUF = "application/protobuf"
POLL_S = (0.05, 0.5)  # between two questions for messages, of a coordinator that does not hold them open
HEARTBEAT_S = 10.0
BACK_OFF_S = (0.1, 30.0)
TIMEOUT_S = 30.0
LOOK_S = 1.0  # between two looks of the queue for work, when nobody calls it
TRANSFERS = 4  # objects in flight at a time
Proto = TypeVar("Proto")


class State(StrEnum):
    """What a hospital's link is doing."""

    CONNECTING = "connecting"
    REGISTERED = "registered"
    WAITING = "waiting"
    WORKING = "working"
    SENDING = "sending"


@dataclass(frozen=True)
class Status:
    """A link's state since when; ``fault`` says what keeps it from connecting, or this disk from keeping messages."""

    state: State
    since: float  # seconds since 1970
    fault: WardroundError | None = None


@dataclass(frozen=True)
class Link:
    """Where the coordinator is, and by what both know each other."""

    address: str
    """``host:port``."""
    authority: Path
    """The coordinator's own certificate authority, PEM; no other is trusted."""
    key: bytes = field(repr=False)
    """The hospital's private node key on a NIST curve, as PEM or as OpenSSH writes it."""


class NotWantedError(Exception):
    """The coordinator does not know what a request is about, or does not want it any more."""


class _Stopped(Exception):  # noqa: N818  # nothing failed
    pass


@dataclass(frozen=True)
class Heart:
    """What travels with a heartbeat, as headers: what this end says, and who hears what the other end says."""

    says: Callable[[], Mapping[str, str]] = dict
    hears: Callable[[Mapping[str, str]], None] = lambda headers: None


class Supernode:
    """A hospital's link: connects, asks, works, answers, until it is told to stop.

    ``folder`` keeps what was asked and not answered yet, and what was answered and not sent yet. ``report`` is called
    with each change of state; ``passed`` with each message, before it leaves or is acknowledged: if it raises
    StorageError, that does not happen, and is tried again. ``heart`` says what a heartbeat carries besides, and
    hears what its answer does. ``limits``: what is taken from the coordinator at most; more of a question is not kept,
    and the status says so. ``report`` and ``passed`` may be called from two threads, one after the other:

    - the thread of :meth:`run` asks for questions and answers short ones (``SHORT``) of which ``beside`` says, told
      the message's type and content, that they can be answered during a long one;
    - a thread of its own works on the long ones, one at a time, the oldest first: studies share one GPU.
    """

    def __init__(
        self,
        link: Link,
        app: ClientApp,
        folder: Path,
        report: Callable[[Status], None] = lambda status: None,
        passed: Callable[[Passage], None] = lambda passage: None,
        heart: Heart | None = None,
        beside: Callable[[str, RecordDict], bool] = lambda message_type, content: True,
        limits: LinkLimits | None = None,
    ) -> None:
        self._limits = limits or LinkLimits()
        self._app = app
        self._beside = beside
        self._folder = folder
        self._inbox = Mailbox(folder / "inbox")
        self._outbox = Mailbox(folder / "outbox")
        self._report = report
        self._passed = passed
        self._heart = heart or Heart()
        self._status = Status(State.CONNECTING, time.time())
        self._wire = _Wire(link, self._limits)
        self._node = node_pb2.Node()
        self._stop = threading.Event()
        self._well = False  # something went well since the last fault
        self._lock = threading.RLock()
        self._claimed: set[str] = set()  # questions and answers that a thread is at
        self._link_status = self._status
        self._long_status: Status | None = None  # of the queue, if it is at something
        self._registered = threading.Event()
        self._over = threading.Event()
        self._call = threading.Event()  # there may be something to do for the queue
        self._failure: BaseException | None = None  # of the queue's thread; nothing that the link could mend

    @property
    def certificate_until(self) -> datetime | None:
        """Until when the coordinator's certificate is valid; None before it was reached."""
        return self._wire.certificate_until

    @property
    def status(self) -> Status:
        """What the link is doing now."""
        return self._status

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes of answers that came and of requests that went, without their heads, since this process started."""
        return self._wire.bytes_in, self._wire.bytes_out

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set; whatever happens to the link, this tries again.

        An answer that is being made when ``stop`` is set is finished first, and kept. A wait for questions ends within
        the few seconds for which the coordinator holds it.

        Raises:
            StorageError: another process serves from this folder: two could give two answers.
        """
        self._stop = stop
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        queue = threading.Thread(target=self._queue, name="queue", daemon=True)
        delay = BACK_OFF_S[0]
        with alone_in(self._folder), closing(self._wire):
            self._report(self._status)
            heart.start()
            queue.start()
            try:
                while True:
                    self._well = False
                    try:
                        self._register()
                        self._serve()
                    except (LinkError, StorageError) as fault:
                        self._say(State.CONNECTING, fault)
                    delay = BACK_OFF_S[0] if self._well else min(2 * delay, BACK_OFF_S[1])
                    self._check(delay * random.uniform(0.5, 1.0))
            except _Stopped:
                self._end(queue)
                self._leave()
            finally:
                self._end(queue)

    def _end(self, queue: threading.Thread) -> None:
        """Let the queue finish what it is at, and no more."""
        self._over.set()
        self._call.set()
        queue.join()

    def _register(self) -> None:
        request = fleet_pb2.ActivateNodeRequest(
            public_key=self._wire.public_key, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
        )
        try:
            answer = self._wire.ask("activate-node", request, fleet_pb2.ActivateNodeResponse)
        except NotWantedError as error:
            raise LinkError(f"the coordinator does not register this hospital ({error})", do=_ENROL) from None
        self._node = node_pb2.Node(node_id=answer.node_id)
        self._say(State.REGISTERED)
        self._registered.set()

    def _serve(self) -> None:
        """Do what there is to do, oldest first: send, then work on short questions, then ask."""
        pause = POLL_S[0]
        while True:
            self._check()
            for name in self._outbox.names():
                with self._claim(name) as ours:
                    self._check()
                    if ours:
                        self._say(State.SENDING)
                        self._send(name)
            short = self._next(long=False)
            if short:
                with self._claim(short) as ours:
                    if ours:
                        self._say(State.WORKING)
                        self._work(short)
                continue
            self._call.set()
            self._say(State.WAITING)
            asked = time.monotonic()
            if self._receive():
                pause = POLL_S[0]
            elif time.monotonic() - asked < pause:
                self._check(pause)
                pause = min(POLL_S[1], 2 * pause)

    def _queue(self) -> None:
        """Work on long questions, one at a time, and send the answers; runs in a thread of its own."""
        delay = BACK_OFF_S[0]
        try:
            while not (self._over.is_set() or self._stop.is_set()):
                try:
                    name = self._next(long=True) if self._registered.is_set() else None
                    if name is None:
                        self._say_of_queue(None)
                        self._call.wait(LOOK_S)
                        self._call.clear()
                        continue
                    with self._claim(name) as ours:
                        if ours and not self._at_queue(name):
                            return
                    delay = BACK_OFF_S[0]
                    continue
                except LinkError:
                    continue  # the answer is on the disk, and the link's own loop says what is the matter
                except StorageError as fault:
                    self._say_of_queue(State.WORKING, fault)
                except _Stopped:
                    return
                delay = min(2 * delay, BACK_OFF_S[1])
                self._over.wait(delay)
        except BaseException as failure:  # noqa: BLE001  # it ends the link, not this thread only
            self._failure = failure

    def _at_queue(self, name: str) -> bool:
        """Answer a long question and send the answer; False if that failed in a way that ends the link."""
        try:
            self._say_of_queue(State.WORKING)
            self._work(name)
            if not (self._over.is_set() or self._stop.is_set()):
                self._say_of_queue(State.SENDING)
                self._send(name)
        except (LinkError, StorageError, _Stopped):
            raise
        except BaseException as failure:  # noqa: BLE001  # it ends the link, not this thread only
            self._failure = failure  # before the other thread takes what this one was at
            return False
        return True

    def _next(self, *, long: bool) -> str | None:
        """Name the oldest question of that kind that no thread is at."""
        for name in self._inbox.names():
            if name not in self._claimed and self._is_long(name) == long:
                return name
        return None

    def _is_long(self, name: str) -> bool:
        """Say whether a question belongs into the queue: it is no short one, or cannot be answered beside others."""
        if self._type(name) not in SHORT:
            return True
        question = self._question(name, self._inbox.get(name))
        try:
            return question is None or not self._beside(question.metadata.message_type, question.content)
        except Exception:  # noqa: BLE001  # a coordinator's bytes, as above; its answer says that they cannot be read
            return True

    def _type(self, name: str) -> str:
        return (self._inbox.first(name) or b"").decode(errors="replace").partition(" ")[2]

    @contextmanager
    def _claim(self, name: str) -> Iterator[bool]:
        """Take a question or an answer for this thread; says whether it is ours now."""
        with self._lock:
            ours = name not in self._claimed
            self._claimed.add(name)
        try:
            yield ours
        finally:
            if ours:
                with self._lock:
                    self._claimed.discard(name)

    def _receive(self) -> bool:
        """Take one question if there is a new one; its receipt is confirmed when it is on the disk, and not before."""
        waiting = self._inbox.names()
        if len(waiting) >= self._limits.waiting:
            return False  # these first
        # A long question that would wait here stays at the coordinator, who may take it back before it costs anything.
        busy = any(self._type(name) not in SHORT for name in waiting)
        request = fleet_pb2.PullMessagesRequest(node=self._node, message_ids=sorted(SHORT) if busy else [])
        try:
            answer = self._wire.ask("pull-messages", request, fleet_pb2.PullMessagesResponse)
        except NotWantedError as error:
            raise LinkError(f"the coordinator does not register this hospital ({error})", do=_ENROL) from None
        if not answer.messages_list:
            self._well = True
            return False
        metadata, tree = _offered(answer)
        run, name, message_type = metadata.run_id, tree.object_id, metadata.message_type
        new = name not in waiting and name not in self._outbox.names()
        try:
            if new:
                if busy and message_type not in SHORT:
                    raise LinkError("the coordinator sent a long question while this hospital works on one")
                contents = self._pull(run, message_type, tree)
                self._tell("in", message_type, name, contents)
                self._inbox.put(name, [f"{run} {message_type}".encode(), *_pairs(contents)])
            confirmation = message_pb2.ConfirmMessageReceivedRequest(
                node=self._node, run_id=run, message_object_id=name
            )
            self._wire.ask("confirm-message-received", confirmation, message_pb2.ConfirmMessageReceivedResponse)
        except NotWantedError:
            log.info("the coordinator withdrew the question %s", name[:8])
            self._check(POLL_S[1])  # it does not send it again, or not immediately
            return False
        self._well = True
        return new

    def _pull(self, run: int, message_type: str, tree: Any) -> dict[str, bytes]:
        """Fetch all parts of a question, by their names, and none beyond what a hospital takes."""
        most = self._limits.message_bytes(message_type)
        ids = [part.object_id for part in islice(iterate_object_tree(tree), self._limits.parts + 1)]
        if len(ids) > self._limits.parts:
            raise LinkError(f"a question of the coordinator has more than {self._limits.parts} parts", do=_VERSIONS)
        came, counting = 0, threading.Lock()

        def pull(name: str) -> bytes:
            nonlocal came
            request = message_pb2.PullObjectRequest(node=self._node, run_id=run, object_id=name)
            content: bytes = self._wire.ask("pull-object", request, message_pb2.PullObjectResponse).object_content
            if get_object_id(content) != name:
                raise LinkError("a part of a question arrived damaged")
            with counting:
                came += len(content)
                if came > most:
                    raise LinkError(f"a question of the coordinator has more than {most} bytes", do=_VERSIONS)
            return content

        names = list(dict.fromkeys(ids))
        return dict(zip(names, self._wire.each(pull, names), strict=True))

    def _work(self, name: str) -> None:
        """Answer one question with the ClientApp; the answer is on the disk before the question is forgotten."""
        parts = self._inbox.get(name)
        if parts is not None and name not in self._outbox.names():
            answer = self._answer(name, parts)
            if answer is not None:
                self._outbox.put(name, _envelope(self._node, answer))
        self._inbox.remove(name)

    def _question(self, name: str, parts: list[bytes] | None) -> Message | None:
        if parts is None:
            return None
        try:
            question = inflate(name, _unpaired(parts[1:]), inflatable_class_registry)
        except Exception:  # a coordinator's bytes: whatever is wrong is wrong with them
            log.exception("the question %s cannot be read", name[:8])
            return None
        if not isinstance(question, Message) or question.metadata.dst_node_id != self._node.node_id:
            log.error("the question %s is for another hospital", name[:8])
            return None
        question.metadata.__dict__["_message_id"] = name
        return question

    def _answer(self, name: str, parts: list[bytes]) -> Message | None:
        question = self._question(name, parts)
        if question is None:
            return None
        run = int(parts[0].split()[0])
        context = Context(run, self._node.node_id, {}, RecordDict(), {})
        try:
            answer: Message = self._app(question, context)
        except Exception as error:  # a bug in one answer must not end the hospital's link; its text stays here
            log.exception("the answer to %s failed", question.metadata.message_type)
            answer = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__), reply_to=question)
        return answer

    def _send(self, name: str) -> None:
        """Send one answer as it lies on the disk; it is forgotten when all of it has arrived or none is wanted."""
        self._inbox.remove(name)  # it is answered, also if a crash came before this was noted
        parts = self._outbox.get(name)
        if parts is None:
            return
        request = fleet_pb2.PushMessagesRequest()
        request.ParseFromString(parts[0])
        run, contents = request.messages_list[0].metadata.run_id, _unpaired(parts[1:])
        of = request.messages_list[0].metadata.message_type, request.message_object_trees[0].object_id, contents
        self._tell("out", *of)
        try:
            answer = self._wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
            missing = set(answer.objects_to_push)
            wanted = [part for part in contents if part in missing]

            def push(part: str) -> None:
                pushed = message_pb2.PushObjectRequest(
                    node=self._node,
                    run_id=run,
                    session_id=answer.session_id,
                    object_id=part,
                    object_content=contents[part],
                )
                self._wire.ask("push-object", pushed, message_pb2.PushObjectResponse)

            self._wire.each(push, wanted)
            self._tell("delivered", *of)
        except NotWantedError as error:
            if str(error) == "session":  # the coordinator started again meanwhile: it wants the answer from its start
                self._check(POLL_S[1])
                return
            log.info("the answer to %s is no longer wanted", name[:8])
            self._tell("unwanted", *of)
        self._outbox.remove(name)

    def _tell(self, way: Way, message_type: str, root: str, contents: dict[str, bytes]) -> None:
        sizes = {part: len(content) for part, content in contents.items()}
        self._passed(passage_of(way, COORDINATOR, message_type, root, sizes, contents, _fields))

    def _check(self, wait_s: float = 0.0) -> None:
        if self._stop.wait(wait_s):
            raise _Stopped
        if self._failure is not None:
            raise self._failure

    def _beat(self) -> None:
        """Say every few seconds that this hospital is there, also while it works."""
        while not self._stop.wait(HEARTBEAT_S):
            request = heartbeat_pb2.SendNodeHeartbeatRequest(
                node=self._node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
            )
            try:
                heart = Heart(self._says, self._heart.hears)
                self._wire.ask("send-node-heartbeat", request, heartbeat_pb2.SendNodeHeartbeatResponse, heart)
            except (LinkError, NotWantedError, RuntimeError):  # the latter: the wire was closed
                continue  # the loop meets the same fault and says so

    def _says(self) -> Mapping[str, str]:
        """Name the questions that are here, answered or not, so that the coordinator learns which of them were lost."""
        said = dict(self._heart.says())
        with suppress(StorageError):  # a disk that fails for a moment has lost none
            names = {*self._inbox.names(), *self._outbox.names()}
            said[HOLDS_HEADER] = ",".join(sorted(name[:HOLDS_DIGITS] for name in names))
        return said

    def _leave(self) -> None:
        """Tell the coordinator that this hospital goes; it learns by itself if this does not arrive."""
        try:
            request = fleet_pb2.DeactivateNodeRequest(node_id=self._node.node_id)
            self._wire.ask("deactivate-node", request, fleet_pb2.DeactivateNodeResponse)
        except (LinkError, NotWantedError):
            return

    def _say(self, state: State, fault: WardroundError | None = None) -> None:
        with self._lock:
            self._link_status = Status(state, time.time(), fault)
            self._show()

    def _say_of_queue(self, state: State | None, fault: WardroundError | None = None) -> None:
        with self._lock:
            self._long_status = None if state is None else Status(state, time.time(), fault)
            self._show()

    def _show(self) -> None:
        """Report what the link does: what keeps it from connecting, else the long work, else the short."""
        connecting = self._link_status.state == State.CONNECTING
        shown = self._link_status if connecting or self._long_status is None else self._long_status
        if (shown.state, str(shown.fault)) != (self._status.state, str(self._status.fault)):
            self._status = shown
            self._report(shown)


def _offered(answer: Any) -> tuple[Any, Any]:
    """Return the metadata of the one question that a coordinator offers, and the tree of its parts.

    Raises:
        LinkError: it offers anything else.
    """
    try:
        ((message,), (tree,)) = answer.messages_list, answer.message_object_trees
    except ValueError:
        raise LinkError("the coordinator's message lacks its tree of parts", do=_VERSIONS) from None
    if not _NAME.fullmatch(tree.object_id):
        raise LinkError("the coordinator's message has an invalid name", do=_VERSIONS)
    if not _TYPE.fullmatch(message.metadata.message_type):
        raise LinkError("the coordinator's message has an invalid type", do=_VERSIONS)
    return message.metadata, tree


_NAME = re.compile("[0-9a-f]{64}")
_TYPE = re.compile(r"[a-z_]{1,20}(\.[a-z_]{1,20})?")
_VERSIONS = "Nothing of it was kept. Compare the coordinator's version of Wardround with yours."
_ENROL = (
    "Ask the coordinator whether this hospital's key is enrolled, or was revoked. If it was, stop this service and "
    "make a request with other keys: wardround hospital init NAME --data DIR --new-keys"
)


class _Wire:
    """HTTPS to one coordinator, through the proxy that ``HTTPS_PROXY`` names if it does; each head is signed."""

    def __init__(self, link: Link, limits: LinkLimits | None = None) -> None:
        self._address = link.address
        self._limits = limits or LinkLimits()
        self._key = _read_key(link.key)
        self.public_key: bytes = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            tls = client_context(link.authority.read_bytes())
        except (OSError, MessageError) as error:
            why = error.what if isinstance(error, MessageError) else error.strerror or "no reason given"
            raise StorageError(
                f"the coordinator's certificate authority cannot be used ({why})",
                where=str(link.authority),
                do="Restore it from the invitation.",
            ) from error
        # A redirect could send an answer elsewhere.
        pool = httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=60.0)
        self._http = httpx.Client(verify=tls, timeout=TIMEOUT_S, follow_redirects=False, limits=pool)
        self._transfers = ThreadPoolExecutor(TRANSFERS, "transfer")
        self.bytes_in = self.bytes_out = 0
        self.certificate_until: datetime | None = None
        self._counting = threading.Lock()

    def close(self) -> None:
        """End the connections."""
        self._transfers.shutdown(wait=True, cancel_futures=True)
        self._http.close()

    def each(self, transfer: Callable[[str], Any], names: list[str]) -> list[Any]:
        """Do several transfers, a few at a time.

        Raises:
            LinkError, NotWantedError: what the first of those that failed raised.
        """
        return list(self._transfers.map(transfer, names))

    def ask(self, path: str, request: Any, kind: type[Proto], heart: Heart | None = None) -> Proto:
        """Send one request and give the answer.

        Raises:
            LinkError: the coordinator cannot be reached, is not the one of the invitation, or refuses this hospital.
            NotWantedError: it does not want this request any more.
        """
        body = request if isinstance(request, bytes) else request.SerializeToString(deterministic=True)
        stamp = datetime.now(UTC).isoformat()
        signature = self._key.sign(stamp.encode(), ec.ECDSA(hashes.SHA256()))
        headers = {
            "content-type": PROTOBUF,
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(self.public_key).decode(),
            FLEET_HTTP_SIGNATURE_HEADER: b64encode(signature).decode(),
            TIMESTAMP_HEADER: stamp,
            **(heart.says() if heart else {}),
        }
        url = f"https://{self._address}{FLEET}{path}"
        try:
            with self._http.stream("POST", url, content=body, headers=headers) as response:
                content = self._body(response)
                if path == "send-node-heartbeat" or self.certificate_until is None:
                    self.certificate_until = _expiry(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreachable(self._address, error, _proxy_to(self._address)) from error
        with self._counting:
            self.bytes_in += len(content)
            self.bytes_out += len(body)
        if response.status_code == httpx.codes.OK and response.headers.get("content-type") == PROTOBUF:
            answer: Any = kind()
            try:
                answer.ParseFromString(content)
            except DecodeError:
                raise LinkError("what answers is not a coordinator of this version", where=self._address) from None
            if heart:
                heart.hears(response.headers)
            return cast(Proto, answer)
        raise _refusal(self._address, response, content[:100].decode(errors="replace"))

    def _body(self, response: httpx.Response) -> bytes:
        """Read an answer's body, which has neither more bytes nor more time than the limits say."""
        parts, size, until = [], 0, time.monotonic() + self._limits.body_s
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > self._limits.body_bytes:
                most = self._limits.body_bytes
                raise LinkError(f"the coordinator's answer has more than {most} bytes", where=self._address)
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer comes too slowly")
        return b"".join(parts)


def _expiry(response: httpx.Response) -> datetime | None:
    """Say until when the certificate is valid that the coordinator showed."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    end = tls.getpeercert().get("notAfter") if tls else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if end else None


def _unreachable(address: str, error: Exception, proxy: str = "") -> LinkError:
    text = str(error)
    if said := refused(error, address.rpartition(":")[0].strip("[]"), datetime.now(UTC)):
        return LinkError(said.what, where=address, do=said.do)
    if isinstance(error, httpx.ProxyError):
        return LinkError(
            f"the proxy does not let this hospital connect ({text})", where=address, do="Check HTTPS_PROXY."
        )
    if proxy and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not _spoke_tls(error):
        return LinkError(
            f"the proxy {proxy} cannot be reached ({text or type(error).__name__})",
            where=address,
            do="Nothing is lost; it keeps trying. Check HTTPS_PROXY and the proxy; the coordinator was not asked.",
        )
    if ("PROTOCOL" in text and "VERSION" in text) or "UNSUPPORTED_PROTOCOL" in text:  # OpenSSL's words, of both sides
        what = "what answers at this address does not speak TLS 1.3"
        return LinkError(
            what, where=address, do="A proxy on the way intercepts TLS: let it pass this address through unread."
        )
    return LinkError(
        f"the coordinator cannot be reached ({text or type(error).__name__})",
        where=address,
        do="Nothing is lost; it keeps trying. Check that outbound connections to this address are allowed.",
    )


def _proxy_to(address: str) -> str:
    """Return ``host:port`` of the proxy through which requests to an address go; nothing if they go straight."""
    host = address.rpartition(":")[0].strip("[]")
    proxy = "" if proxy_bypass(host) else getproxies().get("https") or getproxies().get("all") or ""
    return urlsplit(proxy).netloc.rpartition("@")[2]  # without its user and password


def _spoke_tls(error: BaseException) -> bool:
    """Say whether a connection was there already when it failed: to reach the coordinator a proxy must have let us."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _refusal(address: str, response: httpx.Response, why: str) -> Exception:
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED and why == "clock":
        return LinkError(f"the coordinator refuses this hospital: {_skew(response)}", where=address, do=_CLOCK)
    if status == httpx.codes.UNAUTHORIZED:
        return LinkError(f"the coordinator does not know this hospital's key ({why})", where=address, do=_ENROL)
    if status in (
        httpx.codes.GONE,
        httpx.codes.FORBIDDEN,
        httpx.codes.BAD_REQUEST,
        httpx.codes.REQUEST_ENTITY_TOO_LARGE,
    ):
        return NotWantedError(why)
    if httpx.codes.is_redirect(status):
        what = f"what answers at this address points elsewhere (HTTP {status}), where no answer is sent"
        return LinkError(
            what, where=address, do="A proxy or portal is in the way: let it pass this address through unchanged."
        )
    if status == httpx.codes.INSUFFICIENT_STORAGE:
        return LinkError("the coordinator's disk is full", where=address, do="Nothing is lost; it keeps trying.")
    return LinkError(f"what answers is not a coordinator, or is failing (HTTP {status})", where=address)


_CLOCK = "Set this machine's clock, best by NTP; then the link comes up by itself."


def _skew(response: httpx.Response) -> str:
    try:
        seconds = time.time() - parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return "the two clocks differ by minutes"
    return f"this machine's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the coordinator's"


def _envelope(node: Any, answer: Message) -> list[bytes]:
    """Return an answer as it will be sent: the request, then the objects' names and contents."""
    with no_object_id_recompute():
        answer.metadata.__dict__["_message_id"] = answer.object_id
        request = fleet_pb2.PushMessagesRequest(
            node=node,
            messages_list=[message_to_proto(remove_content_from_message(answer))],
            message_object_trees=[get_object_tree(answer)],
        )
        contents = {name: part.deflate() for name, part in get_all_nested_objects(answer).items()}
    return [request.SerializeToString(deterministic=True), *_pairs(contents)]


def _fields(record: bytes) -> dict[str, object]:
    return dict(ConfigRecord.inflate(record))


def _pairs(contents: dict[str, bytes]) -> list[bytes]:
    return [part for name, content in contents.items() for part in (name.encode(), content)]


def _unpaired(parts: list[bytes]) -> dict[str, bytes]:
    return {name.decode(): content for name, content in zip(parts[::2], parts[1::2], strict=True)}


def _read_key(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        read = serialization.load_ssh_private_key if b"OPENSSH" in key[:40] else serialization.load_pem_private_key
        private = read(key, None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise MessageError("the hospital's node key is not a private key on a NIST curve")
    return private
