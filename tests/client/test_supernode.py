"""The hospital's end of the link: what a crash, a lost line or a false coordinator does to it."""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from flwr.app import Message
from flwr.proto import fleet_pb2

import wardround_client.link.supernode as supernode
import wardround_client.link.wire as wire_module
from link import Authority, Place, StandingPlace, echo, new_key, private_pem, question, until, vector_of
from wardround_client.link.mailbox import Mailbox
from wardround_client.link.supernode import State, Status, Supernode
from wardround_client.link.wire import Link, Wire
from wardround_common.audit import compare
from wardround_common.audit.log import AuditLog, lines
from wardround_common.audit.recorder import Recorder
from wardround_common.audit.verify import verify
from wardround_common.errors import LinkError, MessageError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.transfers import groups, write_push
from wardround_server.link.superlink import SuperLink

VECTOR = np.arange(5.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place whose coordinator runs already, for several tests one after the other."""
    place = StandingPlace(tmp_path_factory.mktemp("standing"))
    with Place.coordinator(place, "mercy") as place.running:
        yield place


class Killed(BaseException):
    """The process ends here; nothing that follows is done."""


@contextmanager
def killed_at(where: str, after: bool, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process end before, or after, one request or one write to the disk; hospitals elsewhere go on."""
    armed = [True]

    def fuse(act: Callable[..., Any], name_of: Callable[..., str]) -> Callable[..., Any]:
        def acting(*arguments: Any) -> Any:
            hit = armed[0] and name_of(*arguments) == where
            if hit and not after:
                armed[0] = False
                raise Killed
            result = act(*arguments)
            if hit:
                armed[0] = False
                raise Killed
            return result

        return acting

    with monkeypatch.context() as patch:
        ours = place.link("mercy").address
        patch.setattr(Wire, "ask", fuse(Wire.ask, lambda wire, path, *_: path if wire._address == ours else ""))
        for write in ("put", "remove"):
            name_of = lambda box, *_, write=write: (  # noqa: E731
                f"{write} {box.folder.name}" if box.folder.is_relative_to(place.folder) else ""
            )
            patch.setattr(Mailbox, write, fuse(getattr(Mailbox, write), name_of))
        yield
    assert not armed[0], f"{where} was never reached"


STAGES = [
    *("activate-node", "pull-messages", "pull-object", "put inbox", "confirm-message-received", "put outbox"),
    *("remove inbox", "push-messages", "push-object", "remove outbox"),
]


@pytest.mark.parametrize(
    "stages",
    [
        [("put outbox", True), ("push-messages", True)],
        pytest.param([(where, after) for where in STAGES for after in (False, True)], marks=pytest.mark.slow),
    ],
    ids=["two", "all"],
)
def test_a_hospital_killed_at_any_stage_sends_one_answer_and_the_same_bytes(
    place: Place, monkeypatch: pytest.MonkeyPatch, stages: list[tuple[str, bool]]
) -> None:
    sent: list[bytes] = []
    ask = Wire.ask

    def recording(wire: Wire, path: str, request: Any, *rest: Any) -> Any:
        if path == "push-messages" and wire._address == place.link("mercy").address:
            sent.append(request)
        return ask(wire, path, request, *rest)

    monkeypatch.setattr(Wire, "ask", recording)
    with place.coordinator("mercy") as link:
        with place.hospital("mercy"):
            until(link.here)
        grid = link.grid(link.new_run())
        for number, (where, after) in enumerate(stages):
            sent.clear()
            seen: list[Message] = []
            [asked] = grid.push_messages([question(next(iter(link.nodes())), VECTOR + number)])
            with killed_at(where, after, place, monkeypatch), pytest.raises(Killed):
                Supernode(place.link("mercy"), echo(seen), place.folder / "mercy").run(threading.Event())
            came: list[Message] = []
            half = [place.folder / "mercy" / box / ".message.0a1b2c3d" for box in ("inbox", "outbox")]
            for left in half:
                left.parent.mkdir(parents=True, exist_ok=True)
                left.write_bytes(b"half")
            with place.hospital("mercy", echo(seen)) as hospital:
                until(lambda came=came, asked=asked: came.extend(grid.pull_messages([asked])) or came)
                until(lambda hospital=hospital: hospital.status.state == State.WAITING)
            assert [left for left in half if left.exists()] == []
            np.testing.assert_array_equal(vector_of(came[0]), 2 * (VECTOR + number))
            assert len(set(sent)) == 1, (where, after)
            if where not in ("put outbox",):
                assert len(seen) == 1, (where, after)
            for box in ("inbox", "outbox"):
                assert Mailbox(place.folder / "mercy" / box).names() == []


@pytest.mark.parametrize(
    "stages",
    [
        [("put inbox", False), ("push-object", True)],
        pytest.param([(where, after) for where in STAGES[1:] for after in (False, True)], marks=pytest.mark.slow),
    ],
    ids=["two", "all"],
)
def test_both_audit_logs_agree_wherever_a_hospital_was_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch, stages: list[tuple[str, bool]]
) -> None:
    monkeypatch.setattr(compare, "CLOCKS", datetime.timedelta())
    keys = Identity(b"c" * 32), Identity(b"m" * 32)
    ours = AuditLog(place.folder / "coordinator's", keys[0], "coordinator", "here")
    theirs = AuditLog(place.folder / "mercy's", keys[1], "hospital", "mercy")
    for log in (ours, theirs):
        log.note("service began")
    with place.coordinator("mercy") as link:
        link._passed = Recorder(ours)
        with place.hospital("mercy"):
            until(link.here)
        grid = link.grid(link.new_run())
        for number, (where, after) in enumerate(stages):
            [asked] = grid.push_messages([question(next(iter(link.nodes())), VECTOR + number)])
            mercy = Supernode(place.link("mercy"), echo(), place.folder / "mercy", passed=Recorder(theirs))
            with killed_at(where, after, place, monkeypatch), pytest.raises(Killed):
                mercy.run(threading.Event())
            with place.hospital("mercy", passed=Recorder(theirs)) as hospital:
                until(lambda asked=asked: grid.pull_messages([asked]))
                until(lambda hospital=hospital: hospital.status.state == State.WAITING)
    sides = []
    for who, log, key, peer in (("we", ours, keys[0], "mercy"), ("mercy", theirs, keys[1], "coordinator")):
        log.note("service ended")
        found = verify(lines(log.folder), key.public, [], who)
        assert found.faults == ()
        sides.append(compare.Side(who, key.public, peer, found))
    compared = compare.compare(*sides)
    assert compared == compare.Compared(2 * len(stages), 0, ())


def test_a_hospital_goes_on_when_the_coordinator_was_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses: list[Status] = []
    with place.coordinator("mercy"):
        pass
    with place.hospital("mercy", report=statuses.append) as hospital:
        until(lambda: hospital.status.fault)
        assert "cannot be reached" in str(hospital.status.fault)
        with place.coordinator() as link:
            until(link.here)
        until(lambda: hospital.status.fault)
        with place.coordinator() as link:
            until(lambda: link.here() and hospital.status.state == State.WAITING)
            assert hospital.status.fault is None
    told = [status.state for status in statuses]
    assert told.index(State.CONNECTING) < told.index(State.REGISTERED) < told.index(State.WAITING)


def test_the_states_of_an_exchange_are_told_apart(standing: Place) -> None:
    statuses: list[Status] = []
    with standing.coordinator("mercy") as link, standing.hospital("mercy", report=statuses.append) as hospital:
        until(link.here)
        grid = link.grid(link.new_run())
        grid.send_and_receive([question(link.here()[0])], timeout=20)
        until(lambda: hospital.status.state == State.WAITING)
    told = [status.state for status in statuses]
    assert told == [*("connecting", "registered", "waiting", "working", "sending", "waiting")]


def test_a_hospital_that_works_for_long_is_still_heard(standing: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernode, "HEARTBEAT_S", 0.05)
    let_go = threading.Event()
    with standing.coordinator("mercy") as link:
        app = echo(before=lambda message: (let_go.wait(20), None)[1])
        with standing.hospital("mercy", app) as hospital:
            until(link.here)
            grid = link.grid(link.new_run(), patience_s=2.0)
            [asked] = grid.push_messages([question(link.here()[0])])
            until(lambda: hospital.status.state == State.WORKING)
            for _ in range(3):
                heard = link.last_seen()["mercy"]
                until(lambda heard=heard: link.last_seen()["mercy"] > heard)
            assert grid.pull_messages([asked]) == []
            let_go.set()
            until(lambda: grid.pull_messages([asked]))


def test_a_bug_in_an_answer_leaves_as_an_error_without_its_text(standing: Place) -> None:
    def fail(message: Message) -> None:
        raise ValueError("/home/mercy/patient-4711.dcm")

    with standing.coordinator("mercy") as link, standing.hospital("mercy", echo(before=fail)) as hospital:
        until(link.here)
        grid = link.grid(link.new_run())
        [came] = grid.send_and_receive([question(link.here()[0])], timeout=20)
        assert came.has_error()
        assert "4711" not in str(came.error)
        until(lambda: hospital.status.state == State.WAITING)  # and it goes on


def test_an_answer_that_is_not_wanted_any_more_is_forgotten(standing: Place) -> None:
    let_go = threading.Event()
    with standing.coordinator("mercy") as link:
        app = echo(before=lambda message: (let_go.wait(20), None)[1])
        with standing.hospital("mercy", app) as hospital:
            until(link.here)
            run = link.new_run()
            link.grid(run).push_messages([question(link.here()[0])])
            until(lambda: hospital.status.state == State.WORKING)
            link.end_run(run)
            let_go.set()
            until(lambda: hospital.status.state == State.WAITING)
        assert Mailbox(standing.folder / "mercy" / "outbox").names() == []


def test_a_foreign_coordinator_is_refused_and_said_so(standing: Place, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign")
    with standing.coordinator("mercy"):
        wire = Wire(Link(standing.address, foreign.certificate, private_pem(standing.keys["mercy"])))
        with pytest.raises(LinkError, match="not from the authority in the invitation"):
            wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)


def test_an_expired_certificate_and_a_false_name_are_told_apart(tmp_path: Path) -> None:
    for days, host, words in ((-1, "127.0.0.1", "expired"), (1, "127.0.0.2", "is not for 127.0.0.1")):
        place = Place(tmp_path / words.split()[0])
        own = x509.load_pem_x509_certificate(place.authority.certificate.read_bytes())
        place.authority.give("server", place.authority_key(), own.subject, days=days, host=host)
        with place.coordinator("mercy"), pytest.raises(LinkError, match=words):
            place.wire("mercy").ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)


@pytest.mark.parametrize(
    ("forgets", "said"),
    [(False, "cannot be reached: the connection was cut"), (True, "a connection was made and no answer came in time")],
    ids=["cut", "forgotten"],
)
def test_a_connection_that_fails_on_the_way_is_not_called_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool, said: str
) -> None:
    """Outbound connections are allowed where one was made: a proxy with a limit of time ended it, or NAT forgot it."""
    if forgets:
        monkeypatch.setattr(wire_module, "TIMEOUT_S", 0.5)
    over = threading.Event()
    place = Place(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*place.authority.server)

    def cut() -> None:
        with listener.accept()[0] as plain, server.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65536)
            if forgets:
                over.wait(30)  # and not a byte, nor an end

    with socket.create_server(("127.0.0.1", 0)) as listener:
        place.port = listener.getsockname()[1]
        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        wire = place.wire("mercy")
        with pytest.raises(LinkError, match=said) as caught:
            wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)
        over.set()
        wire.close()
        thread.join(30)
    assert "ask who runs" in caught.value.do
    assert "outbound" not in caught.value.do


@pytest.mark.parametrize(("seconds", "words"), [(900, "900 s ahead of"), (-900, "900 s behind")])
def test_a_wrong_clock_is_measured_and_said_so(
    standing: Place, monkeypatch: pytest.MonkeyPatch, seconds: int, words: str
) -> None:
    class Skewed(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return super().now(tz) + datetime.timedelta(seconds=seconds)

    monkeypatch.setattr(wire_module, "datetime", Skewed)
    real = time.time
    with standing.coordinator("mercy"):
        wire = standing.wire("mercy")
        monkeypatch.setattr(wire_module.time, "time", lambda: real() + (seconds if _in_wire() else 0))
        with pytest.raises(LinkError) as caught:
            wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)
        wire.close()
    assert any(words.replace("900", str(about)) in str(caught.value) for about in range(895, 906)), str(caught.value)
    assert "NTP" in str(caught.value)


def _in_wire() -> bool:
    return sys._getframe(2).f_code.co_filename.endswith("wire.py")


def test_a_clock_a_minute_off_is_good_enough(standing: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Skewed(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return super().now(tz) + datetime.timedelta(seconds=60)

    monkeypatch.setattr(wire_module, "datetime", Skewed)
    with standing.coordinator("mercy") as link, standing.hospital("mercy"):
        until(link.here)


def test_a_redirect_is_not_followed(standing: Place) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*standing.authority.server)
    heads: list[bytes] = []

    def redirect() -> None:
        client, _ = listener.accept()
        with context.wrap_socket(client, server_side=True) as connection:
            heads.append(connection.recv(65536))
            elsewhere = f"https://{address}/elsewhere".encode()
            connection.sendall(b"HTTP/1.1 307 Elsewhere\r\nlocation: " + elsewhere + b"\r\ncontent-length: 0\r\n\r\n")
            heads.append(connection.recv(65536))

    address = f"127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=redirect, daemon=True)
    thread.start()
    with listener:
        wire = Wire(Link(address, standing.authority.certificate, private_pem(standing.keys["mercy"])))
        with pytest.raises(LinkError, match="HTTP 307"):
            wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(), fleet_pb2.PullMessagesResponse)
        wire.close()
        thread.join(60)
    assert heads[0].startswith(b"POST /v1/fleet/pull-messages")
    assert heads[1] == b""


def test_no_connection_is_made_but_to_the_coordinator(standing: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: set[Any] = set()
    connect = socket.socket.connect

    def recording(self: socket.socket, address: Any) -> None:
        connected.add(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", recording)
    with standing.coordinator("mercy") as link, standing.hospital("mercy"):
        until(link.here)
        link.grid(link.new_run()).send_and_receive([question(link.here()[0])], timeout=20)
    assert connected == {("127.0.0.1", standing.port)}


def test_the_proxy_of_the_environment_is_used(standing: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with standing.coordinator("mercy") as link, _proxy(asked) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with standing.hospital("mercy"):
            until(link.here)
        assert asked
        assert all(head.startswith(f"CONNECT 127.0.0.1:{standing.port} ".encode()) for head in asked)


def test_a_proxy_that_is_dead_is_not_taken_for_the_coordinator(
    standing: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:word@127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    faults: list[str] = []
    with standing.hospital("mercy", report=lambda status: faults.append(str(status.fault or ""))):
        until(lambda: any(faults))
    fault = next(filter(None, faults))
    assert f"the proxy 127.0.0.1:{port} cannot be reached" in fault
    assert "word" not in fault


@contextmanager
def _proxy(asked: list[bytes]) -> Iterator[int]:
    """Run a proxy that opens tunnels."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                sink.sendall(part)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with_shutdown(end)

    def with_shutdown(end: socket.socket) -> None:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def serve(client: socket.socket) -> None:
        head = client.recv(65536)
        asked.append(head)
        host, port = head.split()[1].decode().rsplit(":", 1)
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_a_damaged_message_is_set_aside_and_not_answered(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    parts = [b"7 train.train", hashlib.sha256(b"a part").hexdigest().encode(), b"a part", b"", b""]
    parts[3] = hashlib.sha256(parts[4]).hexdigest().encode()
    Mailbox(folder).put("abc", parts)
    path = folder / "abc"
    assert path.stat().st_mode & 0o077 == 0
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert Mailbox(folder).get("abc") is None, place
        assert Mailbox(folder).names() == []
    path.write_bytes(whole[:-8])
    assert Mailbox(folder).get("abc") is None
    for good in (whole, hashlib.sha256(whole[32:]).digest() + whole[32:]):  # the latter as an earlier version wrote it
        path.write_bytes(good)
        assert Mailbox(folder).get("abc") == parts


def test_a_message_in_pieces_is_kept_and_sent_as_the_same_bytes(tmp_path: Path) -> None:
    content = [b"ArrayChunk  6\0", memoryview(b"abc"), memoryview(b"def")]
    name = hashlib.sha256(b"".join(content)).hexdigest().encode()
    for folder, part in (("pieces", content), ("whole", b"".join(content))):
        Mailbox(tmp_path / folder).put("abc", [b"7 train.train", name, part])
    assert (tmp_path / "pieces" / "abc").read_bytes() == (tmp_path / "whole" / "abc").read_bytes()
    assert Mailbox(tmp_path / "pieces").get("abc") == [b"7 train.train", name, b"".join(content)]
    sent = [b"".join(write_push(b"head", {name.decode(): part})) for part in (content, b"".join(content))]
    assert sent[0] == sent[1]
    assert groups({"a": content, "b": content}, 2**20) == [["a", "b"]]


def test_two_processes_do_not_serve_from_one_folder(place: Place) -> None:
    with place.coordinator("mercy") as link, place.hospital("mercy"):
        until(link.here)
        with pytest.raises(StorageError, match="another process"):
            Supernode(place.link("mercy"), echo(), place.folder / "mercy").run(threading.Event())
        with pytest.raises(StorageError, match="another process"):
            SuperLink(place.folder / "coordinator")


def test_a_full_disk_loses_no_question(standing: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Mailbox, name: str, parts: list[bytes]) -> None:
        raise StorageError("the disk is full")

    with standing.coordinator("mercy") as link:
        with monkeypatch.context() as patch:
            patch.setattr(Mailbox, "put", full)
            with standing.hospital("mercy") as hospital:
                until(link.here)
                grid = link.grid(link.new_run())
                [asked] = grid.push_messages([question(link.here()[0])])
                until(lambda: "disk is full" in str(hospital.status.fault))
        with standing.hospital("mercy"):
            until(lambda: grid.pull_messages([asked]))


@pytest.mark.parametrize("act", ["unlink", "open"])
def test_a_disk_that_fails_for_a_while_ends_no_service(
    standing: Place, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    real = getattr(Path, act)
    failing = threading.Event()

    def maybe(path: Path, *rest: Any, **more: Any) -> Any:
        if failing.is_set() and path.parent.name in ("inbox", "outbox") and path.parent.parent.name == "mercy":
            raise OSError(5, "Input/output error")
        return real(path, *rest, **more)

    monkeypatch.setattr(Path, act, maybe)
    let_go = threading.Event()
    app = echo(before=lambda message: (let_go.wait(20), None)[1])
    with standing.coordinator("mercy") as link, standing.hospital("mercy", app) as hospital:
        until(link.here)
        grid = link.grid(link.new_run())
        [asked] = grid.push_messages([question(link.here()[0])])
        until(lambda: hospital.status.state == State.WORKING)
        failing.set()
        if act == "unlink":
            let_go.set()
        until(lambda: "Input/output error" in str(hospital.status.fault))
        failing.clear()
        let_go.set()
        until(lambda: grid.pull_messages([asked]))
        until(lambda: hospital.status.state == State.WAITING)


def test_a_key_that_is_none_is_said_so(standing: Place) -> None:
    with pytest.raises(MessageError, match="NIST"):
        Wire(Link("127.0.0.1:1", standing.authority.certificate, b"no key"))
    with pytest.raises(StorageError, match="authority"):
        Wire(Link("127.0.0.1:1", standing.folder / "none.pem", private_pem(new_key())))


SERVE = """
import signal, sys, threading
from pathlib import Path
from link import echo
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Link
address, authority, key, folder = sys.argv[1:]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
Supernode(Link(address, Path(authority), Path(key).read_bytes()), echo(), Path(folder)).run(stop)
print("ended")
"""


def test_sigterm_ends_a_hospital_cleanly(standing: Place) -> None:
    key = standing.folder / "mercy.key"
    key.write_bytes(private_pem(standing.keys["mercy"]))
    with standing.coordinator("mercy") as link:
        arguments = [standing.address, str(standing.authority.certificate), str(key), str(standing.folder / "mercy")]
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            until(link.here, 60)
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=20)[0] == b"ended\n"
            assert process.returncode == 0
            assert link.here() == []
        finally:
            process.kill()
            process.wait()


class NamedPlace(Place):
    """A place that hospitals know by a name."""

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


def test_a_name_that_leads_to_another_machine_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, leads_to, resolve = NamedPlace(tmp_path), ["127.0.0.1"], socket.getaddrinfo

    def resolved(host: Any, *more: Any, **named: Any) -> Any:
        return resolve(leads_to[0] if host == "localhost" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with ExitStack() as first:
        link = first.enter_context(place.coordinator("mercy"))
        with place.hospital("mercy"):
            until(link.here)
            first.close()
            leads_to[0] = "127.0.0.2"
            moved = SuperLink(place.folder / "coordinator", hold_s=0.25)
            try:
                moved.serve("127.0.0.2", place.port, *place.authority.server)
                until(moved.here)
            finally:
                moved.stop()
