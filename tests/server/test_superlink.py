"""The coordinator's port: what an enrolled hospital cannot do to another, and what strangers cannot do at all."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import socket
import sqlite3
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, TIMESTAMP_HEADER, Status
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, node_pb2
from flwr.server.superlink.linkstate import sql_linkstate
from flwr.server.superlink.linkstate.linkstate import LinkState
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.supercore.state.alembic.utils import get_combined_metadata
from flwr.supercore.state.schema.corestate_models import ObjectPushSession
from flwr.supercore.task_identity import TaskIdentity
from sqlalchemy import select, update

from link import Authority, Place, echo, new_key, private_pem, public_pem, push_body, question, record, until, vector_of
from wardround_client.hospital.app import _parts
from wardround_client.link.supernode import State, _envelope
from wardround_client.link.wire import Contents, Link, NotWantedError, Wire
from wardround_common import storage
from wardround_common.audit.passage import Passage
from wardround_common.canonical import whole
from wardround_common.errors import FullDiskError, LinkError, MessageError, RoundError, StorageError
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.messages.rounds import Failure
from wardround_common.messages.transfers import write_pull, write_push
from wardround_server.link import link_core, link_grid, object_files
from wardround_server.link.fleet import FLEET, _Upload
from wardround_server.link.link_grid import LinkGrid
from wardround_server.link.port import Doorway, Refused, _read
from wardround_server.link.superlink import SuperLink
from wardround_server.rounds.app import _answer

VECTOR = np.arange(5.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def activate(wire: Wire) -> Any:
    request = fleet_pb2.ActivateNodeRequest(public_key=wire.public_key, heartbeat_interval=30)
    return node_pb2.Node(node_id=wire.ask("activate-node", request, fleet_pb2.ActivateNodeResponse).node_id)


def pull(wire: Wire, node: Any) -> Any:
    return wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(node=node), fleet_pb2.PullMessagesResponse)


@dataclass(frozen=True)
class Standing:
    """A coordinator that several tests use, one after the other."""

    place: Place
    link: SuperLink


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    place = Place(tmp_path_factory.mktemp("standing"))
    with place.coordinator("mercy", "north") as link:
        yield Standing(place, link)


@contextmanager
def two_asked(standing: Standing) -> Iterator[tuple[LinkGrid, dict[str, tuple[Wire, Any]], dict[str, str]]]:
    """Ask mercy and north one question each; both are at the test's own hands."""
    with ExitStack() as open_wires:
        wires = {name: open_wires.enter_context(closing(standing.place.wire(name))) for name in ("mercy", "north")}
        ends = {name: (wire, activate(wire)) for name, wire in wires.items()}
        run = standing.link.new_run()
        grid = standing.link.grid(run)
        ids = grid.push_messages([question(node.node_id) for _, node in ends.values()])
        yield grid, ends, dict(zip(ends, ids, strict=True))
        standing.link.end_run(run)


def reply(node: int, run: int, to: str, source: int | None = None, kind: str = "query.echo") -> Message:
    asked = question(node)
    asked.metadata.__dict__.update(_run_id=run, _message_id=to, _src_node_id=SUPERLINK_NODE_ID, _message_type=kind)
    made = Message(record(VECTOR), reply_to=asked)
    made.metadata.__dict__["_src_node_id"] = node if source is None else source
    return made


def signed_head(wire: Wire, path: str, *more: str, behind_s: float = 0.0) -> bytes:
    """Return the head of a request that a hospital signed, with lines of its own choice."""
    stamp = (datetime.now(UTC) - timedelta(seconds=behind_s)).isoformat()
    signature = wire._key.sign(stamp.encode(), ec.ECDSA(hashes.SHA256()))
    signed = {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(wire.public_key).decode(),
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(signature).decode(),
        TIMESTAMP_HEADER: stamp,
    }
    lines = [f"POST {FLEET}{path} HTTP/1.1", "host: x", *more, *(f"{name}: {value}" for name, value in signed.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def tls(place: Place, within_s: float = 60.0) -> Iterator[ssl.SSLSocket]:
    """Connect with TLS."""
    context = ssl.create_default_context(cafile=place.authority.certificate)
    with (
        socket.create_connection(("127.0.0.1", place.port), within_s) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        yield connection


def raw(place: Place, content: bytes = b"", within_s: float = 60.0) -> bytes:
    """Send some bytes to the port, and give what comes until the connection is closed."""
    with tls(place, within_s) as connection:
        connection.sendall(content)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_flower_is_the_version_that_the_two_ends_were_written_for() -> None:
    assert importlib.metadata.version("flwr") == "1.42.0"


def test_the_private_parts_of_flower_have_the_form_that_is_used(place: Place) -> None:
    parameters = {
        "create_node": ["owner_aid", "owner_name", "public_key", "heartbeat_interval", "location", "name"],
        "create_run": ["fab_id", "fab_version", "fab_hash", "override_config", "federation_id", "federation_config"],
        "store_message_and_object_tree": ["message", "object_tree", "session_id"],
        "store_object": ["run_id", "session_id", "object_id", "object_content"],
        "get_message_ins": ["node_id", "limit"],
        "finish_task": ["task_id", "sub_status", "details"],
        "_cleanup_expired_task_tokens": [],
    }
    for name, expected in parameters.items():
        found = list(inspect.signature(getattr(SqlLinkState, name)).parameters)[1:]
        assert found[: len(expected)] == expected, f"flwr changed SqlLinkState.{name}: {found}"
    assert issubclass(SqlLinkState, LinkState)
    columns = {
        "message_ins": {"message_id", "run_id", "dst_node_id", "message_type", "delivered_at"},
        "message_res": {"message_id", "run_id", "reply_to_message_id"},
        "objects": {"object_id", "content", "is_available", "ref_count"},
        "object_children": {"parent_id", "child_id"},
        "run_objects": {"run_id", "object_id"},
        "object_push_sessions": {"session_id", "run_id", "pending_count"},
        "object_push_session_roots": {"session_id", "root_object_id"},
        "object_push_session_pending": {"session_id", "object_id"},
        "node": {"node_id", "public_key"},
    }
    tables = get_combined_metadata().tables
    for table, needed in columns.items():
        assert needed <= set(tables[table].columns.keys()), f"flwr changed the table {table}"
    with place.coordinator() as link:
        assert link.state.query("PRAGMA journal_mode")[0]["journal_mode"] == "wal"


def test_every_other_path_is_404_and_flowers_other_interfaces_do_not_exist(standing: Standing) -> None:
    link, place = standing.link, standing.place
    with closing(place.wire("mercy")) as wire:
        assert link._fleet.paths < {path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith(FLEET)}
        others = {path for _, path in PROTOBUF_REQUEST_TYPES} - link._fleet.paths
        assert {
            "/v1/control/start-run",
            "/v1/runtime/acquire-task",
            FLEET + "register-node",
            FLEET + "get-fab",
        } < others
        base = f"https://{place.address}"
        for path in [*sorted(others), "/", "/docs", "/openapi.json", FLEET, FLEET + "../control/start-run"]:
            assert wire._http.post(base + path, content=b"").status_code == 404, path
        assert wire._http.get(base + FLEET + "pull-messages").status_code == 404
        assert wire._http.get(base + "/health").text == "ok"


def test_a_hospital_answers_and_its_numbers_come_back(place: Place) -> None:
    with place.coordinator("mercy", "north") as link:
        with place.hospital("mercy"), place.hospital("north"):
            until(lambda: len(link.here()) == 2)
            grid = link.grid(link.new_run())
            replies = grid.send_and_receive([question(node, VECTOR + node) for node in link.here()], timeout=20)
            assert {link.nodes()[each.metadata.src_node_id] for each in replies} == {"mercy", "north"}
            for each in replies:
                np.testing.assert_array_equal(vector_of(each), 2 * (VECTOR + each.metadata.src_node_id))
            assert set(link.last_seen()) == {"mercy", "north"}
        assert link.here() == []  # they said that they go


def test_a_question_can_be_put_before_the_hospital_has_ever_connected(place: Place) -> None:
    with place.coordinator("mercy") as link:
        grid = link.grid(link.new_run())
        [asked] = grid.push_messages([question(next(iter(link.nodes())))])
        with place.hospital("mercy"):
            came: list[Message] = []
            until(lambda: came.extend(grid.pull_messages([asked])) or came)
        assert not came[0].has_error()


def test_two_runs_at_once_do_not_meet(place: Place) -> None:
    with place.coordinator("mercy") as link, place.hospital("mercy"):
        until(link.here)
        grids = [link.grid(link.new_run()) for _ in range(2)]
        node = link.here()[0]
        ids = [grid.push_messages([question(node, VECTOR + place)]) for place, grid in enumerate(grids)]
        for place_, (grid, [asked]) in enumerate(zip(grids, ids, strict=True)):
            came: list[Message] = []
            until(lambda grid=grid, asked=asked, came=came: came.extend(grid.pull_messages([asked])) or came)
            np.testing.assert_array_equal(vector_of(came[0]), 2 * (VECTOR + place_))


def test_an_unknown_key_is_refused(standing: Standing) -> None:
    refused = pytest.raises(LinkError, match="does not know this hospital's key")
    with closing(standing.place.wire("south")) as wire, refused:
        activate(wire)


def test_a_key_of_another_cannot_be_used_without_its_private_half(standing: Standing) -> None:
    with closing(standing.place.wire("north")) as wire:
        wire.public_key = public_pem(standing.place.keys["mercy"])
        with pytest.raises(LinkError, match="signature"):
            activate(wire)


def test_a_hospital_that_is_refused_for_its_clock_is_known_until_it_is_heard(standing: Standing) -> None:
    def answered(behind_s: float, change: tuple[bytes, bytes] = (b"", b"")) -> bytes:
        head = signed_head(wire, "pull-messages", "content-length: 0", "connection: close", behind_s=behind_s)
        return raw(standing.place, head.replace(*change) if change[0] else head)

    with closing(standing.place.wire("north")) as wire:
        for behind_s in (86_400.0, -86_400.0):
            assert answered(behind_s).startswith(b"HTTP/1.1 401")
            assert standing.link.clocks() == {"north": pytest.approx(behind_s, abs=60)}
        activate(wire)
        assert standing.link.clocks() == {}
        assert answered(0.0, (b"+00:00", b"+23:00")).startswith(b"HTTP/1.1 401")  # a time that was not signed
        assert standing.link.clocks() == {}


def test_a_forged_sender_is_refused(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        victim = ends["north"][1]
        forged = reply(victim.node_id, grid._run_id, ids["north"])
        with pytest.raises(NotWantedError, match="sender"):
            wire.ask("push-messages", _envelope(node, forged)[0], fleet_pb2.PushMessagesResponse)
        with pytest.raises(NotWantedError, match="node"):  # nor does it help to claim the victim's node
            wire.ask("push-messages", _envelope(victim, forged)[0], fleet_pb2.PushMessagesResponse)
        assert grid.pull_messages(ids.values()) == []


def test_a_question_to_another_hospital_cannot_be_answered_read_or_confirmed(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        stolen = reply(node.node_id, grid._run_id, ids["north"])
        with pytest.raises(NotWantedError, match="question"):
            wire.ask("push-messages", _envelope(node, stolen)[0], fleet_pb2.PushMessagesResponse)
        theirs = message_pb2.PullObjectRequest(node=node, run_id=grid._run_id).SerializeToString()
        with pytest.raises(NotWantedError, match="object"):
            wire.ask("pull-object", write_pull(theirs, [ids["north"]]), Contents)
        confirmation = message_pb2.ConfirmMessageReceivedRequest(
            node=node, run_id=grid._run_id, message_object_id=ids["north"]
        )
        wire.ask("confirm-message-received", confirmation, message_pb2.ConfirmMessageReceivedResponse)
        assert pull(*ends["north"]).message_object_trees[0].object_id == ids["north"]  # it is still there


def test_a_letter_that_names_another_sender_than_its_envelope_is_no_answer(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        letter = reply(node.node_id, grid._run_id, ids["mercy"], source=ends["north"][1].node_id)
        parts = _envelope(node, letter)
        envelope = fleet_pb2.PushMessagesRequest.FromString(parts[0])
        envelope.messages_list[0].metadata.src_node_id = node.node_id
        answer = wire.ask("push-messages", envelope, fleet_pb2.PushMessagesResponse)
        for name, content in zip(parts[1::2], parts[2::2], strict=True):
            if name.decode() not in answer.objects_to_push:
                continue
            pushed = message_pb2.PushObjectRequest(
                node=node,
                run_id=grid._run_id,
                session_id=answer.session_id,
                object_id=name.decode(),
                object_content=content,
            )
            wire.ask("push-object", push_body(pushed), message_pb2.PushObjectResponse)
        [came] = grid.pull_messages(ids.values())
        assert came.has_error()
        assert came.metadata.src_node_id == node.node_id


def test_another_hospitals_upload_cannot_be_joined(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        session = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse).session_id
        other, intruder = ends["north"]
        for claimed in (session, ""):
            pushed = message_pb2.PushObjectRequest(
                node=intruder,
                run_id=grid._run_id,
                session_id=claimed,
                object_id=parts[1].decode(),
                object_content=parts[2],
            )
            with pytest.raises(NotWantedError, match="session"):
                other.ask("push-object", push_body(pushed), message_pb2.PushObjectResponse)


def test_a_body_without_objects_completes_no_answer(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        session = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse).session_id
        head = message_pb2.PushObjectRequest(node=node, run_id=grid._run_id, session_id=session).SerializeToString()
        with pytest.raises(NotWantedError, match="message"):
            wire.ask("push-object", write_push(head, {}), message_pb2.PushObjectResponse)
        assert grid.pull_messages(ids.values()) == []


@pytest.mark.parametrize("path", ["push-object", "pull-object"])
def test_a_body_of_another_version_is_refused_in_words_that_name_versions(standing: Standing, path: str) -> None:
    with two_asked(standing) as (_, ends, _ids):
        wire, node = ends["mercy"]
        kinds = {"push-object": message_pb2.PushObjectRequest, "pull-object": message_pb2.PullObjectRequest}
        before = kinds[path](node=node, run_id=1, object_id="0" * 64)  # as before small parts travelled together
        with pytest.raises(LinkError, match="another version of Wardround"):
            wire.ask(path, before, message_pb2.PushObjectResponse)


def test_what_comes_at_once_counts_together_before_it_is_written() -> None:
    coming = _Upload(1, "train.train", "0" * 64, 0)
    assert coming.takes(60, 100)
    assert not coming.takes(60, 100)
    coming.gives_back(60)
    assert coming.takes(60, 100)


def test_an_answer_that_is_larger_than_its_question_allows_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, limits=LinkLimits(long_bytes=300_000, short_bytes=20_000, parts=30))
    with place.coordinator("mercy") as link, closing(place.wire("mercy")) as wire:
        node, run = activate(wire), link.new_run()
        grid = link.grid(run)
        for kind, arrays, why in (
            ("train.train", [np.zeros(100_000, np.float32)], "size"),
            ("train.train", [np.full(1, number, np.float32) for number in range(20)], "size"),
            ("query.open", [np.zeros(10_000, np.float32)], "size"),
            ("query.other", [np.zeros(10_000, np.float32)], ""),
        ):
            content = RecordDict({"arrays": ArrayRecord({str(at): Array(array) for at, array in enumerate(arrays)})})
            asked = Message(record(VECTOR), dst_node_id=node.node_id, message_type=kind)
            [asked.metadata.__dict__["_message_id"]] = grid.push_messages([asked])
            answer = Message(content, reply_to=asked)
            answer.metadata.__dict__["_src_node_id"] = node.node_id
            parts = _envelope(node, answer)

            def push(parts: list[bytes] = parts) -> None:
                begun = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
                for name, part in zip(parts[1::2], parts[2::2], strict=True):
                    if name.decode() in begun.objects_to_push:
                        pushed = message_pb2.PushObjectRequest(
                            node=node,
                            run_id=run,
                            session_id=begun.session_id,
                            object_id=name.decode(),
                            object_content=whole(part),
                        )
                        wire.ask("push-object", push_body(pushed), message_pb2.PushObjectResponse)

            if not why:
                push()
                continue
            with pytest.raises(NotWantedError, match=why):
                push()
            with pytest.raises(NotWantedError, match=why):  # no more of it fits when it begins again
                push()
            assert grid.pull_messages([asked.metadata.message_id]) == []


def test_an_answer_says_what_kind_of_question_it_answers(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        envelope = fleet_pb2.PushMessagesRequest.FromString(parts[0])
        envelope.messages_list[0].metadata.message_type = "train.train"
        with pytest.raises(NotWantedError, match="message"):
            wire.ask("push-messages", envelope, fleet_pb2.PushMessagesResponse)


def test_who_waits_for_answers_is_called_when_one_is_here_and_does_not_look_again_and_again(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_grid, "REST_S", 60.0)
    with two_asked(standing) as (grid, ends, ids):
        assert grid.pull_messages(ids.values()) == []
        resting = threading.Thread(target=grid.rest, daemon=True)
        resting.start()
        _, node = ends["mercy"]
        push(ends["mercy"], _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"])))
        resting.join(60)
        assert not resting.is_alive()
        assert len(grid.pull_messages(ids.values())) == 1
        push(ends["north"], _envelope(ends["north"][1], reply(ends["north"][1].node_id, grid._run_id, ids["north"])))
        grid.rest()  # it came after the last look, and before this one waits
        assert len(grid.pull_messages([ids["north"]])) == 1


def test_an_answer_that_is_half_here_is_not_given_out(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        assert grid.pull_messages(ids.values()) == []


def test_a_revoked_hospital_is_refused_at_once_and_its_key_stays_revoked(place: Place) -> None:
    with place.coordinator("mercy") as link:
        statuses: list[Any] = []
        with place.hospital("mercy", report=statuses.append):
            until(link.here)
            grid = link.grid(link.new_run())
            [asked] = grid.push_messages([question(link.here()[0])])
            until(lambda: grid.pull_messages([asked]))
            link.revoke("mercy")
            began = time.monotonic()
            until(lambda: "does not know this hospital's key" in str(statuses[-1].fault))
            assert time.monotonic() - began < 3
        assert link.nodes() == {}
        with pytest.raises(MessageError, match="revoked"):
            link.enrol("mercy", public_pem(place.keys["mercy"]))
        place.keys["mercy"] = new_key()
        link.enrol("mercy", public_pem(place.keys["mercy"]))
        with place.hospital("mercy"):
            until(link.here)
    with place.coordinator() as again:  # what was revoked and enrolled is on the disk
        assert list(again.nodes().values()) == ["mercy"]


def test_a_hospital_that_gets_a_new_key_keeps_its_questions(place: Place) -> None:
    with place.coordinator("mercy") as link:
        with closing(place.wire("mercy")) as wire:
            old = activate(wire)
        grid = link.grid(link.new_run())
        [asked] = grid.push_messages([question(old.node_id)])
        place.keys["mercy"] = new_key()
        assert link.enrol("mercy", public_pem(place.keys["mercy"])) == old.node_id
        with place.hospital("mercy"):
            until(lambda: grid.pull_messages([asked]))


def test_one_key_is_one_hospitals(place: Place) -> None:
    with place.coordinator("mercy") as link:
        with pytest.raises(MessageError, match="has the key of mercy"):
            link.enrol("north", public_pem(place.keys["mercy"]))
        with pytest.raises(MessageError, match="NIST"):
            link.enrol("north", b"ssh-ed25519 AAAA")


def test_a_hospital_is_back_at_once_after_its_process_was_killed(standing: Standing) -> None:
    with closing(standing.place.wire("mercy")) as killed:
        first = activate(killed)
        with closing(standing.place.wire("mercy")) as again:  # nothing said goodbye
            assert activate(again) == first


def test_a_question_that_was_lost_on_its_way_is_given_again_until_it_is_confirmed(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        for _ in range(3):
            assert pull(*ends["mercy"]).message_object_trees[0].object_id == ids["mercy"]
        wire, node = ends["mercy"]
        confirmation = message_pb2.ConfirmMessageReceivedRequest(
            node=node, run_id=grid._run_id, message_object_id=ids["mercy"]
        )
        wire.ask("confirm-message-received", confirmation, message_pb2.ConfirmMessageReceivedResponse)
        assert not pull(wire, node).messages_list


def test_a_coordinator_that_starts_again_gets_the_answer_to_what_it_had_asked(place: Place) -> None:
    seen: list[Message] = []
    with place.coordinator("mercy") as link:
        with closing(place.wire("mercy")) as wire:
            activate(wire)
        run = link.new_run()
        [asked] = link.grid(run).push_messages([question(next(iter(link.nodes())), VECTOR)])
    with place.hospital("mercy", echo(seen)) as hospital, place.coordinator() as again:
        until(again.here)
        grid = again.grid(run)
        assert grid.push_messages([question(again.here()[0], VECTOR)]) == [asked]  # the same question is not put again
        came: list[Message] = []
        until(lambda: came.extend(grid.pull_messages([asked])) or came)
        np.testing.assert_array_equal(vector_of(came[0]), 2 * VECTOR)
        assert len(seen) == 1
        [other] = grid.push_messages([question(again.here()[0], VECTOR + 1)])
        until(lambda: grid.pull_messages([other]))
        assert hospital.status.fault is None
        again.end_run(run)
        with pytest.raises(RoundError, match="ended"):
            again.grid(run)
        assert again.state.num_message_ins() == again.state.num_message_res() == len(again.objects) == 0


def test_an_answer_that_was_read_before_the_coordinator_was_killed_is_not_asked_for_again(place: Place) -> None:
    seen: list[Message] = []
    with place.coordinator("mercy") as link, place.hospital("mercy", echo(seen)):
        until(link.here)
        run = link.new_run()
        [asked] = link.grid(run).push_messages([question(link.here()[0], VECTOR)])
        until(lambda: link.grid(run)._link.state.num_message_res())
        grid = link.grid(run)  # as a process that has just started makes it
        assert grid.push_messages([question(link.here()[0], VECTOR)]) == [asked]
        until(lambda: grid.pull_messages([asked]))
        assert len(seen) == 1
        assert grid.push_messages([question(link.here()[0], VECTOR)]) != [asked]  # this process asks twice: two answers


def test_a_silent_hospital_is_given_up_after_the_patience_that_was_stated(place: Place) -> None:
    with place.coordinator("mercy") as link:
        with closing(place.wire("mercy")) as wire:
            node = activate(wire).node_id
        grid = link.grid(link.new_run(), patience_s=60)
        [asked] = grid.push_messages([question(node)])
        assert grid.pull_messages([asked]) == []
        link._seen[node] = link.started = time.monotonic() - 61
        [absence] = grid.pull_messages([asked])
        assert absence.has_error()
        assert absence.metadata.reply_to_message_id == asked


def test_an_oversize_body_is_refused_before_it_is_read(standing: Standing) -> None:
    place = standing.place
    with closing(place.wire("mercy")) as wire:
        node = activate(wire)
        request = fleet_pb2.PullMessagesRequest(node=node).SerializeToString()
        head = b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n"
        assert raw(place, head).startswith(b"HTTP/1.1 413")
        assert raw(place, head.replace(b"content-length: 99999999999", b"transfer-encoding: chunked")).startswith(
            b"HTTP/1.1 411"
        )
        with pytest.raises(NotWantedError, match="message"):
            wire.ask("pull-messages", b"\xff" + request, fleet_pb2.PullMessagesResponse)


def test_a_body_in_chunks_is_not_longer_than_its_head_says(standing: Standing) -> None:
    """Where a head states both, HTTP takes the chunks for the length of the body."""
    place, sent = standing.place, 0
    with closing(place.wire("mercy")) as wire:
        activate(wire)
        head = signed_head(wire, "push-object", "content-length: 10", "transfer-encoding: chunked")
    with tls(place) as connection:
        connection.sendall(head)
        with suppress(ConnectionError, ssl.SSLError):
            while sent < 4 * LinkLimits.body_bytes:
                connection.sendall(b"100000\r\n" + bytes(2**20) + b"\r\n")
                sent += 2**20
    assert sent < LinkLimits.body_bytes
    assert raw(place, head).startswith(b"HTTP/1.1 411")


def test_what_comes_of_a_body_is_counted_whatever_its_head_said() -> None:
    def coming(*parts: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
        events = iter([{"type": "http.request", "body": part, "more_body": True} for part in parts])

        async def receive() -> dict[str, Any]:
            return next(events, {"type": "http.request", "body": b"", "more_body": False})

        return receive

    assert asyncio.run(_read(coming(b"12345", b"67890"), 10)) == [b"12345", b"67890", b""]
    with pytest.raises(Refused) as refused:
        asyncio.run(_read(coming(b"12345", b"67890", b"1"), 10))
    assert (refused.value.status, refused.value.why) == (413, "size")


@pytest.mark.slow
def test_a_slow_loris_and_a_silent_connection_are_closed_and_garbage_is_answered_with_400(tmp_path: Path) -> None:
    place = Place(tmp_path, Doorway(head_s=0.5, handshake_s=0.5))
    with place.coordinator("mercy"):
        for content in (b"", b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: "):
            began = time.monotonic()
            with suppress(ConnectionError, ssl.SSLError):  # cut off, or closed without a word
                assert not raw(place, content)
            assert time.monotonic() - began < 5
        assert raw(place, b"\x00\x01garbage\r\n\r\n").startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", place.port), 5) as plain:
            plain.sendall(b"no TLS at all\r\n\r\n")
            assert not _rest(plain)
        with socket.create_connection(("127.0.0.1", place.port), 5) as plain:
            assert not _rest(plain)  # a handshake that does not begin
        with place.hospital("mercy") as hospital:
            until(lambda: hospital.status.state == State.WAITING)


def test_a_head_that_is_too_large_is_refused_before_its_time_is_over(place: Place) -> None:
    with place.coordinator("mercy"):
        began = time.monotonic()
        said = b""
        with suppress(ConnectionError, ssl.SSLError):  # cut off while it was still writing
            said = raw(place, b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 100_000)
        assert said[:12] in (b"", b"HTTP/1.1 400")
        assert time.monotonic() - began < Doorway().head_s / 2


def _rest(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100) if connection.recv(100)[:1] not in (b"\x15", b"") else b""  # 0x15: a TLS alert
    except ConnectionError:
        return b""


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_idle_connections_do_not_stop_a_hospital(tmp_path: Path, count: int) -> None:
    place = Place(tmp_path, Doorway(strangers=64))
    with place.coordinator("mercy") as link, ExitStack() as idle:
        context = ssl.create_default_context(cafile=place.authority.certificate)
        for number in range(count):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", place.port), 20))
            if number % 4 == 0:  # the others do not even begin a handshake
                idle.enter_context(context.wrap_socket(connection, server_hostname="127.0.0.1"))
        with place.hospital("mercy"):
            until(link.here)
            grid = link.grid(link.new_run())
            began = time.monotonic()
            [came] = grid.send_and_receive([question(link.here()[0], VECTOR)], timeout=20)
            np.testing.assert_array_equal(vector_of(came), 2 * VECTOR)
            assert time.monotonic() - began < 5
        assert link.port is not None
        assert len(link.port._strangers) <= 64


def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_said_so(place: Place) -> None:
    with place.coordinator() as link:
        with pytest.raises(StorageError, match="port cannot be opened"):
            link.serve("127.0.0.1", place.port, *place.authority.server)
        with pytest.raises(StorageError, match="certificate or key"):
            link.serve("127.0.0.1", 0, place.authority.certificate, place.authority.server[1])


def test_a_new_certificate_is_used_without_a_new_start(place: Place, tmp_path: Path) -> None:
    with place.coordinator("mercy") as link:
        other = Authority(tmp_path / "other")
        assert link.port is not None
        link.port.renew(*other.server)
        with closing(Wire(Link(place.address, other.certificate, private_pem(place.keys["mercy"])))) as wire:
            activate(wire)
        with (
            closing(place.wire("mercy")) as wire,
            pytest.raises(LinkError, match="not from the authority in the invitation"),
        ):
            activate(wire)


def test_every_answer_of_the_port_is_to_the_node_that_signed(standing: Standing) -> None:
    with two_asked(standing) as (_, ends, ids):
        wire, _ = ends["mercy"]
        other = ends["north"][1]
        for path, request in {
            "pull-messages": fleet_pb2.PullMessagesRequest(node=other),
            "pull-object": write_pull(message_pb2.PullObjectRequest(node=other).SerializeToString(), [ids["north"]]),
            "confirm-message-received": message_pb2.ConfirmMessageReceivedRequest(node=other),
            "push-object": push_body(message_pb2.PushObjectRequest(node=other)),
            "deactivate-node": fleet_pb2.DeactivateNodeRequest(node_id=other.node_id),
            "activate-node": fleet_pb2.ActivateNodeRequest(public_key=public_pem(standing.place.keys["north"])),
        }.items():
            with pytest.raises(NotWantedError, match="node"):
                wire.ask(path, request, fleet_pb2.PullMessagesResponse)


def test_the_state_of_a_run_does_not_depend_on_signs_of_life_from_another_process(place: Place) -> None:
    with place.coordinator() as link:
        run = link.new_run()
        link.state.query("UPDATE task SET active_until = '2000-01-01 00:00:00'")
        assert link.state.get_run_status({run})[run].status == Status.RUNNING


def test_an_array_that_is_none_is_a_failure_of_its_hospital_and_ends_no_run() -> None:
    bad = RecordDict({"arrays": ArrayRecord({"update": Array("float32", (3,), "numpy.ndarray", b"no array")})})
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    assert _answer(Message(bad, dst_node_id=1, message_type="query")) == Failure("message")


def test_a_message_with_other_records_than_fields_and_arrays_is_none_at_either_end() -> None:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    more = RecordDict({"also": ConfigRecord({"round": 9}), "fields": ConfigRecord({"round": 1})})
    assert _answer(Message(more, dst_node_id=1, message_type="query")) == Failure("message")
    with pytest.raises(MessageError, match="records besides its fields and arrays"):
        _parts(more)


def kept(link: SuperLink) -> dict[str, int]:
    """Count what the coordinator keeps of messages: files, and rows of the database."""
    tables = ("objects", "object_children", "run_objects", "message_ins", "message_res", "object_push_sessions")
    rows = {table: link.state.query(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"] for table in tables}  # noqa: S608
    return rows | {"files": len(list((link.folder / "objects").iterdir()))}


def test_if_one_question_cannot_be_noted_none_of_those_asked_together_can_be_fetched(place: Place) -> None:
    with place.coordinator("mercy", "north") as link:
        nodes = []
        for name in ("mercy", "north"):
            with closing(place.wire(name)) as wire:
                nodes.append(activate(wire).node_id)
        grid = link.grid(link.new_run())
        told: list[str] = []

        def full(passage: Passage) -> None:
            told.append(passage.peer)
            if len(told) == 2:
                raise StorageError("the disk is full", where="the audit log", do="Make room.")

        link._passed = full
        with pytest.raises(StorageError, match="the disk is full"):
            grid.push_messages([question(node) for node in nodes])
        assert len(told) == 2
        assert {kept(link)[table] for table in ("objects", "message_ins", "object_push_sessions", "files")} == {0}
        grid.push_messages([question(node) for node in nodes])
        assert kept(link)["message_ins"] == 2


def test_nothing_is_kept_of_a_body_with_an_object_that_is_not_awaited(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        contents = {bytes(name).decode(): content for name, content in zip(parts[1::2], parts[2::2], strict=True)}
        stray = inflatable_class_registry["ArrayChunk"](b"nobody asked for this")
        begun = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        before, wanted = kept(standing.link), set(begun.objects_to_push)
        for place in range(len(wanted) + 1):
            begun = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
            assert set(begun.objects_to_push) == wanted
            head = message_pb2.PushObjectRequest(node=node, run_id=grid._run_id, session_id=begun.session_id)
            body = [(name, content) for name, content in contents.items() if name in wanted]
            body.insert(place, (stray.object_id, stray.deflate()))
            with pytest.raises(NotWantedError, match="session"):
                wire.ask(
                    "push-object", write_push(head.SerializeToString(), dict(body)), message_pb2.PushObjectResponse
                )
            assert grid.pull_messages([ids["mercy"]]) == []
        assert kept(standing.link)["files"] == before["files"]
        push(ends["mercy"], parts)
        (answer,) = grid.pull_messages([ids["mercy"]])
        assert not answer.has_error()


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_what_is_kept_does_not_grow_with_the_rounds_and_is_gone_when_the_run_ends(place: Place, rounds: int) -> None:
    with place.coordinator("mercy", "north") as link, place.hospital("mercy"), place.hospital("north"):
        until(lambda: len(link.here()) == 2)
        before = kept(link)
        run = link.new_run()
        grid = link.grid(run)
        counts = []
        for number in range(rounds):
            replies = grid.send_and_receive([question(node, VECTOR + number) for node in link.here()], timeout=20)
            assert not any(reply.has_error() for reply in replies)
            until(lambda: not link._fleet._coming)  # the hospital is told a moment after the answer is here
            assert (len(grid._fresh), len(grid._node_of)) == (2, 2)  # the last question to each
            counts.append(kept(link))
        assert len({tuple(each.values()) for each in counts}) == 1, counts
        link.end_run(run)
        assert kept(link) == before


def test_nothing_of_an_answer_is_left_on_the_disk_after_its_round_or_its_run(place: Place) -> None:
    """A small answer is in the database, whose log keeps what was deleted until it is written over."""
    with place.coordinator("mercy") as link, place.hospital("mercy"):
        until(lambda: len(link.here()) == 1)
        run, mark = link.new_run(), np.random.default_rng(7).standard_normal(50)
        grid = link.grid(run)

        def kept(answer: np.ndarray) -> bool:
            files = [path for path in link.folder.rglob("*") if path.is_file()]
            return any(answer.tobytes() in path.read_bytes() for path in files)

        for number in range(2):
            grid.send_and_receive([question(node, mark + number) for node in link.here()], timeout=20)
            assert kept(mark + number)
            until(lambda: not link._fleet._coming)
        assert not kept(mark)
        link.end_run(run)
        assert not kept(mark + 1)


def all_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small contents be files too, which a disk can lose."""
    monkeypatch.setattr(object_files, "IN_DATABASE_BYTES", 0)


def push(ends: tuple[Wire, Any], parts: list[bytes], first: int = 0) -> str:
    """Send an answer, from its object number ``first`` on; give the upload's session."""
    wire, node = ends
    answer = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
    run = fleet_pb2.PushMessagesRequest.FromString(parts[0]).messages_list[0].metadata.run_id
    for name, content in list(zip(parts[1::2], parts[2::2], strict=True))[first:]:
        if name.decode() in answer.objects_to_push:
            pushed = message_pb2.PushObjectRequest(
                node=node, run_id=run, session_id=answer.session_id, object_id=name.decode(), object_content=content
            )
            wire.ask("push-object", push_body(pushed), message_pb2.PushObjectResponse)
    return str(answer.session_id)


def test_a_part_that_came_damaged_is_not_kept_and_the_sender_is_told_to_begin_again(standing: Standing) -> None:
    with two_asked(standing) as (grid, ends, ids):
        _, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        files = kept(standing.link)["files"]
        name, content = parts[3:5]  # the first is in the question too, and here already
        for damaged in (content[:-1], content + b"\0", b"", b"\0" * len(content)):
            with pytest.raises(NotWantedError, match="session"):
                push(ends["mercy"], [parts[0], name, damaged])
        assert kept(standing.link)["files"] == files
        push(ends["mercy"], parts)
        assert [each.metadata.src_node_id for each in grid.pull_messages(ids.values())] == [node.node_id]


def test_a_question_of_which_a_part_is_lost_does_not_stand_in_the_way_of_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_in_files(monkeypatch)
    with place.coordinator("mercy") as link:
        run, node = link.new_run(), next(iter(link.nodes()))
        [lost] = link.grid(run).push_messages([question(node)])
        (link.folder / "objects" / lost).unlink()
        with place.hospital("mercy"):
            grid = link.grid(link.new_run())
            [asked] = grid.push_messages([question(node, VECTOR)])
            until(lambda: grid.pull_messages([asked]))


def test_what_a_coordinator_has_committed_is_flushed(standing: Standing) -> None:
    for part in (standing.link.state, standing.link.objects):
        assert part.query("PRAGMA synchronous")[0]["synchronous"] == 2  # FULL: also without a copy into the database


def test_a_body_that_completes_no_answer_waits_for_no_flush_and_the_one_that_does_flushes_all_of_them(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the database and of the files' names; each file itself is on the disk before the database speaks of it."""
    all_in_files(monkeypatch)
    flushed: list[tuple[str, int]] = []
    levels: list[int] = []
    settle, put = standing.link.objects.settle, standing.link.objects.put

    def settled() -> None:
        flushed.append(("names", len(levels)))
        settle()

    def noted(name: str, content: bytes | object_files.Written) -> None:
        with standing.link.objects.rows() as rows:
            levels.append(rows.execute("PRAGMA synchronous").fetchone()[0])
        put(name, content)

    with two_asked(standing) as (grid, ends, ids):
        _, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        monkeypatch.setattr(standing.link.objects, "put", noted)
        monkeypatch.setattr(standing.link.objects, "settle", settled)
        push(ends["mercy"], parts)
        assert levels == [1] * (len(levels) - 1) + [2]  # NORMAL, and FULL for the last
        assert len(levels) > 2
        assert [count for _, count in flushed if count] == [len(levels)]
        assert not grid.pull_messages(ids.values())[0].has_error()
        test_what_a_coordinator_has_committed_is_flushed(standing)


def test_each_body_gives_an_upload_as_much_time_as_a_new_one_and_none_after_its_time_is_over(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_asked(standing) as (grid, ends, ids):
        wire, node = ends["mercy"]
        parts = _envelope(node, reply(node.node_id, grid._run_id, ids["mercy"]))
        state = standing.link.state

        def expiry() -> datetime:
            with state.session() as session:
                return session.scalars(select(ObjectPushSession.expires_at)).one()

        def set_expiry(seconds: float) -> None:
            with state.session() as session:
                session.execute(update(ObjectPushSession).values(expires_at=now() + timedelta(seconds=seconds)))

        began = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        head = message_pb2.PushObjectRequest(node=node, run_id=grid._run_id, session_id=began.session_id)
        bodies = [
            write_push(head.SerializeToString(), {name.decode(): content})
            for name, content in zip(parts[1::2], parts[2::2], strict=True)
            if name.decode() in began.objects_to_push
        ]
        set_expiry(5)
        wire.ask("push-object", bodies[0], message_pb2.PushObjectResponse)
        assert timedelta(seconds=170) < expiry() - now() <= timedelta(seconds=180)
        set_expiry(-0.001)
        with pytest.raises(NotWantedError, match="session"):
            wire.ask("push-object", bodies[1], message_pb2.PushObjectResponse)
        push(ends["mercy"], parts)
        assert not grid.pull_messages([ids["mercy"]])[0].has_error()


def confirm(ends: tuple[Wire, Any], run: int, asked: str) -> None:
    wire, node = ends
    confirmation = message_pb2.ConfirmMessageReceivedRequest(node=node, run_id=run, message_object_id=asked)
    wire.ask("confirm-message-received", confirmation, message_pb2.ConfirmMessageReceivedResponse)


def set_back(place: Place, database: bytes) -> None:
    """Let the coordinator find an older database beside its newer files, as after a disk that lied about a flush."""
    folder = place.folder / "coordinator"
    for beside in folder.glob("superlink.db-*"):
        beside.unlink()
    (folder / "superlink.db").write_bytes(database)


@pytest.mark.parametrize(
    "gone",
    [
        "question",
        pytest.param("receipt", marks=pytest.mark.slow),
        pytest.param("half an answer", marks=pytest.mark.slow),
        "answer",
    ],
)
def test_a_hospital_gets_its_question_again_when_the_database_was_set_back_to_before_the(
    place: Place, gone: str
) -> None:
    """Nobody is stuck, whatever the database forgot of a question whose files or answer went further."""
    database = place.folder / "coordinator" / "superlink.db"

    def now() -> bytes:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(":memory:")) as copy:
            source.backup(copy)
            return bytes(copy.serialize())

    kept_of: dict[str, bytes] = {}
    with place.coordinator("mercy") as link, closing(place.wire("mercy")) as wire:
        node = activate(wire)
        run = link.new_run()
        kept_of["question"] = now()
        [asked] = link.grid(run).push_messages([question(node.node_id, VECTOR)])
        kept_of["receipt"] = now()
        assert pull(wire, node).messages_list
        confirm((wire, node), run, asked)
        kept_of["half an answer"] = now()
        parts = _envelope(node, reply(node.node_id, run, asked))
        wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        kept_of["answer"] = now()
        push((wire, node), parts)
    set_back(place, kept_of[gone])
    seen: list[Message] = []
    with place.coordinator() as link:
        grid = link.grid(run)
        assert grid.push_messages([question(node.node_id, VECTOR)]) == [asked]  # under its own name
        with place.hospital("mercy", echo(seen)):
            came: list[Message] = []
            until(lambda: came.extend(grid.pull_messages([asked])) or came)
            assert not came[0].has_error()
            assert len(seen) == 1
            link.end_run(run)
        assert kept(link)["objects"] == kept(link)["files"] == 0


def test_a_question_that_is_put_again_is_not_worked_on_twice_by_a_hospital_that_has_it(place: Place) -> None:
    seen: list[Message] = []
    go_on = threading.Event()
    with ExitStack() as hospital:
        with place.coordinator("mercy") as link:
            hospital.enter_context(place.hospital("mercy", echo(seen, lambda message: go_on.wait(20) and None)))
            until(link.here)
            run, [node] = link.new_run(), link.nodes()
            [asked] = link.grid(run).push_messages([question(node, VECTOR)])
            until(lambda: seen)
        with place.coordinator() as link:
            grid = link.grid(run)
            assert grid.push_messages([question(node, VECTOR)]) == [asked]
            until(link.here)
            go_on.set()
            until(lambda: grid.pull_messages([asked]))
            [other] = grid.push_messages([question(node, VECTOR + 1)])
            until(lambda: grid.pull_messages([other]))
            assert len(seen) == 2
            hospital.close()


def test_a_hospital_whose_question_is_lost_under_a_running_coordinator_is_said_to_be_missing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_in_files(monkeypatch)
    with place.coordinator("mercy") as link:
        run, node = link.new_run(), next(iter(link.nodes()))
        grid = link.grid(run)
        [lost] = grid.push_messages([question(node)])
        (link.folder / "objects" / lost).unlink()
        assert not grid.pull_messages([lost])
        with closing(place.wire("mercy")) as wire:
            assert not pull(wire, activate(wire)).messages_list
        [absence] = grid.pull_messages([lost])
        assert _answer(absence) == Failure("lost")


def test_a_coordinator_that_lost_a_file_of_half_an_answer_asks_for_it_and_removes_what_belongs_to_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_in_files(monkeypatch)
    objects = place.folder / "coordinator" / "objects"
    with place.coordinator("mercy") as link, closing(place.wire("mercy")) as wire:
        node = activate(wire)
        run = link.new_run()
        [asked] = link.grid(run).push_messages([question(node.node_id)])
        parts = _envelope(node, reply(node.node_id, run, asked))
        push((wire, node), parts, first=2)  # all but one: the first is in the question too
    kept_back, lost = (name.decode() for name in (parts[3], parts[5]))
    (objects / lost).unlink()
    (objects / ".half.written").touch()
    (objects / ("0" * 64)).touch()
    with place.coordinator() as link, closing(place.wire("mercy")) as wire:
        assert not {".half.written", "0" * 64} & {path.name for path in objects.iterdir()}
        answer = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        assert set(answer.objects_to_push) == {lost, kept_back}
        push((wire, node), parts)
        grid = link.grid(run)
        [again] = grid.push_messages([question(node.node_id)])
        assert again == asked
        np.testing.assert_array_equal(vector_of(grid.pull_messages([asked])[0]), VECTOR)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FullDiskError("the disk is full", where="/srv/C"), "the coordinator's disk is full"),
        (StorageError("the file cannot be read", where="/srv/C"), "the coordinator cannot read or write its files"),
    ],
    ids=["full", "cannot be read"],
)
def test_a_hospital_hears_that_the_coordinators_disk_is_at_fault_and_no_path(
    place: Place, error: StorageError, said: str
) -> None:
    def fail(name: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        raise error

    with place.coordinator("mercy") as link, closing(place.wire("mercy")) as wire:
        node = activate(wire)
        link.heart = fail
        request = heartbeat_pb2.SendNodeHeartbeatRequest(node=node, heartbeat_interval=30)
        with pytest.raises(LinkError, match=said) as heard:
            wire.ask("send-node-heartbeat", request, heartbeat_pb2.SendNodeHeartbeatResponse)
    assert "/srv" not in str(heard.value)


def test_a_disk_without_room_beside_the_database_is_full_and_not_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says only that input or output failed; a coordinator that was started so was told to check its rights."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE

    def fail() -> None:
        with link_core._trouble_is_said(tmp_path):
            raise error

    with pytest.raises(StorageError, match="cannot be used"):
        fail()
    monkeypatch.setattr(storage, "ROOM_BYTES", 2**62)
    with pytest.raises(FullDiskError, match="the disk is full"):
        fail()


def test_a_question_is_still_given_after_the_coordinators_clock_was_set_right_by_more_than_a_year(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower takes a message for expired by the clock; nobody was given it, and the run waited until its deadline."""
    real = sql_linkstate.now
    with place.coordinator("mercy") as link:
        with closing(place.wire("mercy")) as wire:
            node = activate(wire)
        grid = link.grid(link.new_run())
        [number] = grid.push_messages([question(node.node_id)])
        monkeypatch.setattr(sql_linkstate, "now", lambda: real() + timedelta(days=400))
        with place.hospital("mercy"):
            came: list[Message] = []
            until(lambda: came.extend(grid.pull_messages([number])) or came, 20.0)  # type: ignore[func-returns-value]
    assert came[0].has_content()


def test_a_full_disk_under_the_database_is_said_and_is_no_bug(standing: Standing) -> None:
    def grow() -> None:
        with standing.link.transaction():
            standing.link.state.query("PRAGMA max_page_count = 1")  # SQLite's own limit, below what is there
            try:
                standing.link.state.query("CREATE TABLE large AS SELECT randomblob(1000000) AS content")
            finally:
                standing.link.state.query("PRAGMA max_page_count = 1073741823")

    with pytest.raises(StorageError, match="the disk is full"):
        grow()
