"""The hospital's end of its link to the coordinator: it asks, outbound only, and its own installed ClientApp answers.

It speaks Flower's Fleet messages (``flwr==1.42.0``) and runs nothing that a coordinator sends: no code is fetched, no
redirect is followed, nothing is unpickled. A question is on this disk before its receipt is confirmed, and **an answer
is on this disk before a byte of it leaves**: a process that is killed at any moment sends the same bytes when it starts
again, never a second answer.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.clientapp import ClientApp
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, ErrorCode
from flwr.common.serde import message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2
from flwr.supercore.inflatable.inflatable_object import (
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry

from wardround_client.link.mailbox import Mailbox
from wardround_client.link.wire import ENROL, TRANSFERS, Contents, Heart, Link, NotWantedError, Wire, another_version
from wardround_common.audit.passage import COORDINATOR, Passage, Way, passage_of
from wardround_common.canonical import Content, Part, length, whole
from wardround_common.errors import LinkError, StorageError, WardroundError
from wardround_common.messages.link_limits import HOLDS_DIGITS, HOLDS_HEADER, SHORT, LinkLimits
from wardround_common.messages.object_trees import inflate, taken_apart
from wardround_common.messages.transfers import groups, write_pull, write_push
from wardround_common.storage import alone_in, sweep

log = logging.getLogger(__name__)

POLL_S = (0.05, 0.5)  # between two questions for messages, of a coordinator that does not hold them open
HEARTBEAT_S = 10.0
BACK_OFF_S = (0.1, 30.0)
UNREADABLE = "message"
"""What a coordinator says of a body that it cannot read."""
SMALL_BYTES = 65_536
"""Of a part of a message that is read for what the message says, and is copied."""
LOOK_S = 1.0  # between two looks of the queue for work, when nobody calls it


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


class _Stopped(Exception):  # noqa: N818  # nothing failed
    pass


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
        self._address = link.address
        self._wire = Wire(link, self._limits)
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
            for box in (self._inbox, self._outbox):
                sweep(box.folder)
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
            self._node = node_pb2.Node(node_id=answer.node_id)
            self._beat_once()  # before any work: the answer may tell that this folder was rolled back
        except NotWantedError as error:
            raise LinkError(f"the coordinator does not register this hospital ({error})", do=ENROL) from None
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
            raise LinkError(f"the coordinator does not register this hospital ({error})", do=ENROL) from None
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
                self._call.set()  # the queue need not wait until the coordinator knows
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

    def _pull(self, run: int, message_type: str, tree: Any) -> dict[str, Part]:
        """Fetch all parts of a question, by their names, and none beyond what a hospital takes."""
        most = self._limits.message_bytes(message_type)
        ids = [part.object_id for part in islice(iterate_object_tree(tree), self._limits.parts + 1)]
        if len(ids) > self._limits.parts:
            raise LinkError(f"a question of the coordinator has more than {self._limits.parts} parts", do=_VERSIONS)
        came, counting = 0, threading.Lock()
        request = message_pb2.PullObjectRequest(node=self._node, run_id=run).SerializeToString(deterministic=True)

        def pull(names: list[str]) -> dict[str, Part]:
            nonlocal came
            pulled: dict[str, Part] = {}
            while len(pulled) < len(names):
                wanted = names[len(pulled) :]
                contents = self._moved("pull-object", write_pull(request, wanted), Contents).parts
                if not 0 < len(contents) <= len(wanted):
                    raise LinkError("the coordinator sent other parts of a question than were asked for", do=_VERSIONS)
                for name, content in zip(wanted, contents, strict=False):
                    pulled[name] = content
                    if hashlib.sha256(content).hexdigest() != name:
                        raise LinkError("a part of a question arrived damaged")
                with counting:
                    came += sum(map(len, contents))
                    if came > most:
                        raise LinkError(f"a question of the coordinator has more than {most} bytes", do=_VERSIONS)
            return pulled

        names = list(dict.fromkeys(ids))
        lines = 1 if message_type in SHORT else TRANSFERS
        shares = [share for share in (names[start::lines] for start in range(lines)) if share]
        pulled = {name: content for share in self._wire.each(pull, shares) for name, content in share.items()}
        return {name: pulled[name] for name in names}

    def _work(self, name: str) -> None:
        """Answer one question with the ClientApp; the answer is on the disk before the question is forgotten."""
        parts = self._inbox.get(name)
        if parts is not None and name not in self._outbox.names():
            answer = self._answer(name, parts)
            if answer is not None:
                self._outbox.put(name, _envelope(self._node, answer))
        self._inbox.remove(name)

    def _question(self, name: str, parts: list[Part] | None) -> Message | None:
        if parts is None:
            return None
        try:
            parted = _unpaired(parts[1:])
            contents = {
                part: whole(content) if isinstance(content, list) else content for part, content in parted.items()
            }
            question = inflate(name, contents, inflatable_class_registry, self._limits.long_bytes)
        except Exception:  # a coordinator's bytes: whatever is wrong is wrong with them
            log.exception("the question %s cannot be read", name[:8])
            return None
        if not isinstance(question, Message) or question.metadata.dst_node_id != self._node.node_id:
            log.error("the question %s is for another hospital", name[:8])
            return None
        if question.metadata.message_type != whole(parts[0]).decode(errors="replace").partition(" ")[2]:
            log.error("the question %s is of another type than the coordinator announced", name[:8])
            return None
        question.metadata.__dict__["_message_id"] = name
        return question

    def _answer(self, name: str, parts: list[Part]) -> Message | None:
        question = self._question(name, parts)
        if question is None:
            return None
        run = int(whole(parts[0]).split()[0])
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
        request.ParseFromString(whole(parts[0]))
        run, contents = request.messages_list[0].metadata.run_id, _unpaired(parts[1:])
        of = request.messages_list[0].metadata.message_type, request.message_object_trees[0].object_id, contents
        self._tell("out", *of)
        try:
            answer = self._wire.ask("push-messages", whole(parts[0]), fleet_pb2.PushMessagesResponse)
            missing = set(answer.objects_to_push)
            wanted = {part: content for part, content in contents.items() if part in missing}
            head = message_pb2.PushObjectRequest(node=self._node, run_id=run, session_id=answer.session_id)
            begun = head.SerializeToString(deterministic=True)

            def push(group: list[str]) -> None:
                body = write_push(begun, {part: wanted[part] for part in group})
                self._moved("push-object", body, message_pb2.PushObjectResponse)

            self._wire.each(push, groups(wanted, self._limits.body_bytes))
            self._tell("delivered", *of)
        except NotWantedError as error:
            if str(error) == "session":  # the coordinator started again meanwhile: it wants the answer from its start
                self._check(POLL_S[1])
                return
            log.info("the answer to %s is no longer wanted", name[:8])
            self._tell("unwanted", *of)
        self._outbox.remove(name)

    def _moved(self, path: str, body: list[Content], kind: Any) -> Any:
        """Ask for parts or bring them: a coordinator that cannot read such a body wants the same of another version.

        Raises:
            LinkError: as :meth:`Wire.ask`, or the coordinator is of another version: nothing is forgotten for that.
            NotWantedError: it does not want this any more.
        """
        try:
            return self._wire.ask(path, body, kind)
        except NotWantedError as error:
            if str(error) == UNREADABLE:
                raise another_version(self._address) from None
            raise

    def _tell(self, way: Way, message_type: str, root: str, contents: dict[str, Part]) -> None:
        sizes = {part: length(content) for part, content in contents.items()}
        heads = {part: whole(contents[part]) for part, size in sizes.items() if size < SMALL_BYTES or part == root}
        self._passed(passage_of(way, COORDINATOR, message_type, root, sizes, heads, _fields))

    def _check(self, wait_s: float = 0.0) -> None:
        if self._stop.wait(wait_s):
            raise _Stopped
        if self._failure is not None:
            raise self._failure

    def _beat(self) -> None:
        """Say every few seconds that this hospital is there, also while it works."""
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._beat_once()
            except (LinkError, NotWantedError, StorageError, RuntimeError):  # the last: the wire was closed
                continue  # the loop meets the same fault and says so

    def _beat_once(self) -> None:
        request = heartbeat_pb2.SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
        heart = Heart(self._says, self._heart.hears)
        self._wire.ask("send-node-heartbeat", request, heartbeat_pb2.SendNodeHeartbeatResponse, heart)

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


def _envelope(node: Any, answer: Message) -> list[Part]:
    """Return an answer as it will be sent: the request, then the objects' names and contents, large ones in pieces."""
    with no_object_id_recompute():
        tree, pieces = taken_apart(answer, inflatable_class_registry, message_pb2.ObjectTree)
        answer.metadata.__dict__["_message_id"] = tree.object_id
        request = fleet_pb2.PushMessagesRequest(
            node=node,
            messages_list=[message_to_proto(remove_content_from_message(answer))],
            message_object_trees=[tree],
        )
    contents = {name: content if length(content) > SMALL_BYTES else whole(content) for name, content in pieces.items()}
    return [request.SerializeToString(deterministic=True), *_pairs(contents)]


def _fields(record: bytes) -> dict[str, object]:
    return dict(ConfigRecord.inflate(record))


def _pairs(contents: Mapping[str, Part]) -> list[Part]:
    return [part for name, content in contents.items() for part in (name.encode(), content)]


def _unpaired(parts: list[Part]) -> dict[str, Part]:
    return {whole(name).decode(): content for name, content in zip(parts[::2], parts[1::2], strict=True)}
