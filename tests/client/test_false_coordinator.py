"""What a coordinator that breaks the protocol can do to a hospital's service: nothing but keep it from working."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.serde import message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, iterate_object_tree
from flwr.supercore.task_identity import TaskIdentity

import wardround_client.link.wire as wire
from link import Authority, echo, new_key, private_pem, until
from wardround_client.hospital.app import beside, client_app
from wardround_client.link.mailbox import Mailbox
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Contents, Link, Wire
from wardround_common.canonical import Content, joined
from wardround_common.errors import LinkError, MessageError
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.messages.rounds import Parts
from wardround_common.messages.transfers import read_pull
from wardround_server.link.fleet import FLEET
from wardround_server.link.port import Port, Refused
from wardround_server.link.superlink import SuperLink

NODE = 4711
SMALL = LinkLimits(body_bytes=100_000, long_bytes=300_000, short_bytes=20_000, parts=30, waiting=3)


@dataclass
class FalseCoordinator:
    """A coordinator that answers as a test says, and counts what it was asked."""

    offers: list[Any] = field(default_factory=list)
    """Answers to the requests for messages, one after the other; the last one again and again."""
    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    """HTTP statuses, by path."""
    why: str = "so"
    """The word with which it refuses."""
    wants: bool = False
    """Whether it asks for all parts of an answer."""
    asked: Counter[str] = field(default_factory=Counter)
    fetched: list[int] = field(default_factory=list)
    """Sizes of the objects that it gave."""
    paths = frozenset(
        FLEET + path
        for path in (
            *("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "pull-object"),
            *("confirm-message-received", "push-messages", "push-object"),
        )
    )

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        return NODE

    async def hold(self, path: str, node: int) -> None:
        return

    def said(self, path: str, node: int) -> Mapping[str, str]:
        return {}

    def answer(self, path: str, node: int, body: Content) -> list[Content]:
        return [self._content(path.removeprefix(FLEET), bytes(body))]

    def _content(self, what: str, body: bytes) -> bytes:
        self.asked[what] += 1
        if what in self.refuses:
            raise Refused(self.refuses[what], self.why)
        if what == "push-messages" and self.wants:
            given = fleet_pb2.PushMessagesRequest.FromString(body)
            names = [part.object_id for part in iterate_object_tree(given.message_object_trees[0])]
            return bytes(fleet_pb2.PushMessagesResponse(objects_to_push=names, session_id="s").SerializeToString())
        if what == "pull-object":
            _, (name, *_) = read_pull(body)
            self.fetched.append(len(self.objects[name]))
            return joined(self.objects[name])  # it may give fewer than it is asked for
        return bytes(self._answer(what).SerializeToString())

    def _answer(self, what: str) -> Any:
        if what == "activate-node":
            return fleet_pb2.ActivateNodeResponse(node_id=NODE)
        if what == "pull-messages":
            if not self.offers:
                return fleet_pb2.PullMessagesResponse()
            return self.offers.pop(0) if len(self.offers) > 1 else self.offers[0]
        return heartbeat_pb2.SendNodeHeartbeatResponse()

    def offer(self, message_type: str, *arrays: np.ndarray, number: int = 1, broken: bool = False) -> None:
        """Offer a question with these arrays."""
        record = {f"array {place}": Array(array) for place, array in enumerate(arrays)}
        if broken:
            record["broken"] = Array("float32", (2,), "numpy.ndarray", b"no numbers")
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = SUPERLINK_NODE_ID
        content = RecordDict({"fields": ConfigRecord({"round": number}), "arrays": ArrayRecord(record)})
        message = Message(content, dst_node_id=NODE, message_type=message_type)
        message.metadata.__dict__.update(_run_id=1, _src_node_id=SUPERLINK_NODE_ID)
        message.metadata.__dict__["_message_id"] = message.object_id
        self.objects |= {name: part.deflate() for name, part in get_all_nested_objects(message).items()}
        trees = [get_object_tree(message)]
        messages = [message_to_proto(remove_content_from_message(message))]
        self.offers.append(fleet_pb2.PullMessagesResponse(messages_list=messages, message_object_trees=trees))


@dataclass
class Meeting:
    """A false coordinator and a hospital that asks it."""

    folder: Path
    desk: FalseCoordinator
    limits: LinkLimits = SMALL

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "authority")

    @contextmanager
    def __call__(self, **more: Any) -> Iterator[Supernode]:
        port = Port(self.desk, "127.0.0.1", 0, *self.authority.server)
        port.start()
        link = Link(f"127.0.0.1:{port.number}", self.authority.certificate, private_pem(new_key()))
        app = more.pop("app", echo())
        node = Supernode(link, app, self.folder / "hospital", limits=self.limits, **more)
        stop = threading.Event()
        ended: list[BaseException] = []

        def serve() -> None:
            try:
                node.run(stop)
            except BaseException as error:  # noqa: BLE001  # the test says whether it may be
                ended.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield node
            assert thread.is_alive(), ended
        finally:
            stop.set()
            thread.join(60)
            port.stop()

    def kept(self) -> list[str]:
        return Mailbox(self.folder / "hospital" / "inbox").names()


@pytest.fixture
def meeting(tmp_path: Path) -> Meeting:
    return Meeting(tmp_path, FalseCoordinator())


def fault(node: Supernode, words: str) -> Callable[[], bool]:
    return lambda: words in str(node.status.fault)


def test_a_message_without_its_tree_of_parts_ends_no_service(meeting: Meeting) -> None:
    meeting.desk.offer("query.echo", np.arange(3.0))
    del meeting.desk.offers[0].message_object_trees[:]
    with meeting() as node:
        until(fault(node, "lacks its tree"))


@pytest.mark.parametrize("name", ["../../../etc/passwd", "", "a" * 5000, "é" * 64])
def test_a_message_of_an_impossible_name_or_type_is_refused(meeting: Meeting, name: str) -> None:
    meeting.desk.offer("query.echo", np.arange(3.0))
    meeting.desk.offers[0].message_object_trees[0].object_id = name
    with meeting() as node:
        until(fault(node, "invalid name"))
        meeting.desk.offers.clear()
        meeting.desk.offer("query.echo", np.arange(3.0))
        meeting.desk.offers[0].messages_list[0].metadata.message_type = name
        until(fault(node, "invalid type"))


def test_a_question_that_is_announced_as_one_of_another_type_is_not_answered(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    meeting.desk.offer("train.train", np.arange(3.0))
    meeting.desk.offers[0].messages_list[0].metadata.message_type = "query.confirm"  # what the audit log would say
    with meeting(app=echo(seen := [])):
        until(lambda: "of another type than the coordinator announced" in caplog.text)
    assert (seen, meeting.desk.asked["push-messages"]) == ([], 0)


def test_a_part_that_is_too_large_is_not_read_to_its_end_nor_kept(meeting: Meeting) -> None:
    meeting.desk.offer("train.train", np.zeros(2_000_000, np.float32))
    with meeting() as node:
        until(fault(node, f"more than {SMALL.body_bytes} bytes"))
        assert node.traffic[0] < SMALL.body_bytes
    assert meeting.kept() == []


def test_a_question_of_many_parts_is_left_when_it_exceeds_what_a_message_may_have(meeting: Meeting) -> None:
    meeting.desk.offer("train.train", *(np.full(20_000, number, np.float32) for number in range(8)))
    with meeting() as node:
        until(fault(node, f"more than {SMALL.long_bytes} bytes"))
        first_try = meeting.desk.fetched.copy()
        assert sum(first_try) < SMALL.long_bytes + 2 * wire.TRANSFERS * SMALL.body_bytes
    assert meeting.kept() == []


def test_a_short_question_may_be_much_shorter_only(meeting: Meeting) -> None:
    meeting.desk.offer("query.propose", np.zeros(10_000, np.float32))
    with meeting() as node:
        until(fault(node, f"more than {SMALL.short_bytes} bytes"))
    assert meeting.kept() == []


def test_a_tree_of_too_many_parts_is_refused_before_any_is_fetched(meeting: Meeting) -> None:
    meeting.desk.offer("train.train", *(np.full(1, number, np.float32) for number in range(20)))
    with meeting() as node:
        until(fault(node, f"more than {SMALL.parts} parts"))
    assert meeting.desk.fetched == []


def test_long_questions_are_not_heaped_up_at_a_hospital_that_works_on_one(meeting: Meeting) -> None:
    let_go = threading.Event()
    for number in range(3):
        meeting.desk.offer("query.echo", np.arange(3.0), number=number)
    with meeting(app=echo(before=lambda message: (let_go.wait(20), None)[1])) as node:
        until(fault(node, "while this hospital works on one"))
        assert len(meeting.kept()) == 1
        let_go.set()


def test_short_questions_that_wait_are_counted(meeting: Meeting) -> None:
    let_go = threading.Event()
    for number in range(9):
        meeting.desk.offer("query.open", np.arange(3.0), number=number)

    class Busy:
        def answer(self, kind: str, parts: Parts) -> Any:
            let_go.wait(20)
            raise ValueError

    # None of them can be answered beside another one, so that they wait.
    with meeting(app=client_app(lambda context: Busy()), beside=lambda kind, content: False):
        until(lambda: len(meeting.kept()) == SMALL.waiting)
        asked = meeting.desk.asked["pull-messages"]
        time.sleep(0.5)
        assert meeting.desk.asked["pull-messages"] == asked
        assert len(meeting.kept()) == SMALL.waiting
        let_go.set()


def test_a_short_question_that_cannot_be_read_ends_no_service(meeting: Meeting) -> None:
    meeting.desk.offer("query.open", broken=True)
    meeting.desk.offers.append(fleet_pb2.PullMessagesResponse())
    may = beside(lambda kind, parts: True)
    with meeting(beside=may):
        until(lambda: meeting.desk.asked["push-messages"] and not meeting.kept())


@pytest.mark.parametrize(("path", "kept"), [("pull-object", 0), ("push-object", 1)])
def test_a_coordinator_of_another_version_is_said_so_and_no_answer_is_lost_for_that(
    meeting: Meeting, path: str, kept: int
) -> None:
    meeting.desk.offer("query.echo", np.arange(3.0))
    meeting.desk.refuses[path], meeting.desk.why, meeting.desk.wants = 400, "message", True
    with meeting() as node:
        until(fault(node, "another version of Wardround"))
        assert len(Mailbox(meeting.folder / "hospital" / "outbox").names()) == kept


def test_an_answer_of_empty_parts_is_not_read() -> None:
    with pytest.raises(MessageError, match="more than"):
        Contents().ParseFromString(bytes(8 * 100_000))


@pytest.mark.parametrize(
    ("path", "status"), [("pull-messages", 307), ("pull-object", 307), ("confirm-message-received", 500)]
)
def test_what_goes_wrong_each_time_is_tried_again_less_and_less_often(meeting: Meeting, path: str, status: int) -> None:
    meeting.desk.offer("query.echo", np.arange(3.0))
    meeting.desk.refuses[path] = status
    with meeting() as node:
        until(fault(node, f"HTTP {status}"))
        time.sleep(1.2)
        # Each time it registers again: after 0.1 to 0.2 s, 0.2 to 0.4 s, 0.4 to 0.8 s, 0.8 to 1.6 s.
        assert meeting.desk.asked["activate-node"] <= 5


def test_the_word_of_a_refusal_forges_no_line_of_the_log_and_commands_no_terminal(meeting: Meeting) -> None:
    meeting.desk.refuses["activate-node"] = 401
    meeting.desk.why = "key)\n2026-11-29 08:00:00 approved study 1\x1b[2J"
    with meeting() as node:
        until(lambda: node.status is not None and node.status.fault is not None)
        first, *advice = str(node.status.fault).splitlines()
    assert first.endswith("the coordinator does not know this hospital's key (no reason given)")
    assert [line[:4] for line in advice] == ["  → "]


def test_a_question_that_is_taken_back_each_time_is_not_asked_for_without_a_pause(meeting: Meeting) -> None:
    meeting.desk.offer("query.echo", np.arange(3.0))
    meeting.desk.refuses["pull-object"] = 410
    with meeting():
        until(lambda: meeting.desk.asked["pull-messages"] > 1)
        time.sleep(1.0)
        assert meeting.desk.asked["pull-messages"] <= 5


def test_an_answer_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Meeting(tmp_path, FalseCoordinator(), LinkLimits(body_s=0.3))

    class Dripping:
        extensions: dict[str, Any] = {}  # noqa: RUF012

        def iter_raw(self) -> Iterator[bytes]:
            while True:
                time.sleep(0.05)
                yield b"."

    link = Link("127.0.0.1:1", meeting.authority.certificate, private_pem(new_key()))
    with closing(Wire(link, meeting.limits)) as wire, pytest.raises(Exception, match="too slowly"):
        wire._body(Dripping())  # type: ignore[arg-type]


def test_a_coordinator_without_tls_1_3_is_refused_and_said_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*authority.server)
    listener = socket.create_server(("127.0.0.1", 0))
    met: list[str] = []

    def serve() -> None:
        client, _ = listener.accept()
        try:
            with context.wrap_socket(client, server_side=True) as connection:
                met.append(str(connection.version()))
        except OSError:
            client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    link = Link(f"127.0.0.1:{listener.getsockname()[1]}", authority.certificate, private_pem(new_key()))
    with listener, closing(Wire(link)) as wire, pytest.raises(LinkError, match=r"does not speak TLS 1\.3"):
        wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)
    thread.join(60)
    assert met == []


def test_both_ends_hold_to_the_same_limits(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    link = SuperLink(tmp_path / "coordinator")
    try:
        port = link.serve("127.0.0.1", 0, *authority.server)
        node = Supernode(
            Link("127.0.0.1:1", authority.certificate, private_pem(new_key())), echo(), tmp_path / "hospital"
        )
        assert link.limits == port.limits == node._limits == node._wire._limits == LinkLimits()
        node._wire.close()
    finally:
        link.stop()
