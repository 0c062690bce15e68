"""How a coordinator is commanded at its socket: by whom, what is carried, and what is said when all is not well."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from typer.testing import CliRunner

from commanded import Here, a_standing, a_status, commanded
from link import until
from wardround_common import errors
from wardround_common.control import LARGEST_ANSWER_BYTES, LARGEST_REQUEST_BYTES, health, line, place, service
from wardround_common.control import control_pb2 as pb
from wardround_common.control.checking import check_health
from wardround_common.control.errors_carried import KEY, LONGEST_TEXT, from_message, to_message
from wardround_common.control.health import DISK, IMAGES, full_disk
from wardround_common.control.line import connected
from wardround_common.control.place import FOLDER, NAME, address, is_served
from wardround_common.errors import (
    ImageRefused,
    ImagesAwayError,
    MessageError,
    RoundError,
    ServiceAwayError,
    ServiceError,
    StorageError,
    StudyError,
    WardroundError,
)
from wardround_server.commands.coordinator_cli import app
from wardround_server.service.commanding import commanding
from wardround_server.service.control_messages import run_message, run_seen, status_message, status_seen
from wardround_server.state.standings import RunSeen


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with tempfile.TemporaryDirectory() as folder, commanded(Path(folder)) as made:
        yield made


@pytest.fixture(autouse=True)
def _a_coordinators_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder here was set up as a coordinator's: what is said of that is another test's."""
    monkeypatch.setattr("wardround_server.service.commanding.CoordinatorFolder.settings", None)


def test_only_the_user_that_serves_can_reach_the_socket(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with commanded(tmp_path) as here:
            assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700
            assert stat.S_IMODE((tmp_path / FOLDER / NAME).stat().st_mode) == 0o600
            assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [NAME]
            with commanding(tmp_path) as coordinator:
                assert coordinator.status() == here.commanded.says()
        assert not list((tmp_path / FOLDER).iterdir())
    finally:
        os.umask(before)


def test_a_folder_that_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER).chmod(0o775)
    with commanded(tmp_path):
        assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user one must be root")
@pytest.mark.parametrize("opened", [FOLDER, ""], ids=["by the socket", "by the folder"])
def test_another_user_is_refused_by_the_folder_and_by_the_socket_itself_and_is_told_so(opened: str) -> None:
    with tempfile.TemporaryDirectory() as name, commanded(Path(name)) as here:
        here.folder.chmod(0o755)
        (here.folder / opened).chmod(0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match="another user"):
                is_served(here.folder)
        finally:
            os.seteuid(0)


def test_each_command_reaches_the_service_with_what_it_was_given(here: Here) -> None:
    here.commanded.asked.clear()
    with commanding(here.folder) as coordinator:
        begun = coordinator.run("the file's text ä", "lung.toml", 3)
        assert begun == RunSeen(**dict(a_standing()), doing={})
        coordinator.run("text", "lung.toml")
        coordinator.resume("lung", give_up=True)
        coordinator.resume("lung")
        coordinator.resume("lung", finish=True)
        coordinator.stop("lung")
        assert coordinator.archive("lung") == Path("/C/archive/lung")
        coordinator.remove("lung")
        assert coordinator.status() == a_status()
    assert here.commanded.asked == [
        ("run", "the file's text ä", "lung.toml", 3),
        ("run", "text", "lung.toml", None),
        ("resume", "lung", True, False),
        ("resume", "lung", False, False),
        ("resume", "lung", False, True),
        ("stop", "lung"),
        ("archive", "lung"),
        ("remove", "lung"),
        ("status",),
    ]


def test_what_a_coordinator_says_survives_its_message_in_the_order_of_the_roster() -> None:
    status = a_status("ä · said")
    again = status_seen(pb.CoordinatorStatus.FromString(status_message(status).SerializeToString()))
    assert again == status
    assert list(again.runs[0].hospitals) == ["st-mary", "mercy", "a"]
    assert run_seen(run_message(a_standing())).standing == a_standing()


def every_error() -> list[WardroundError]:
    found: list[WardroundError] = []
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if kind is ImageRefused:
            found.append(ImageRefused("not-dicom", "what", where="where", do="do"))
        elif kind is StudyError:
            found.append(StudyError("what", where="where", do="do", faults=("one", "two")))
        elif issubclass(kind, WardroundError):
            found.append(kind("what", where="where", do="do"))
    last = RoundError("what", where="where")
    last.give_up = True
    return [*found, last]


def test_every_error_of_the_tree_is_raised_again_on_the_other_side_whole(here: Here) -> None:
    with commanding(here.folder) as coordinator:
        for error in every_error():
            here.commanded.fails = error
            with pytest.raises(type(error)) as caught:
                coordinator.stop("lung")
            assert type(caught.value) is type(error)
            assert (str(caught.value), caught.value.args) == (str(error), error.args)
            for fact in ("kind", "exit_code", "what", "where", "do", "faults", "reason", "give_up"):
                assert getattr(caught.value, fact, None) == getattr(error, fact, None), (type(error), fact)
    here.commanded.fails = None


def test_an_error_that_is_not_known_here_keeps_its_word_and_its_exit_code() -> None:
    error = from_message(pb.Error(type="TiredError", kind="tired", what="it is tired", do="Wait.", exit_code=8))
    assert (type(error), error.kind, error.exit_code, str(error)) == (
        WardroundError,
        "tired",
        8,
        "it is tired\n  → Wait.",
    )


def test_an_error_that_is_longer_than_anybody_reads_is_cut_and_arrives(here: Here) -> None:
    long = "\N{GRINNING FACE}" * 100_000
    here.commanded.fails = StudyError(long, where=long, do=long, faults=[long, *["a fault"] * 100_000])
    with commanding(here.folder) as coordinator, pytest.raises(StudyError) as caught:
        coordinator.stop("lung")
    here.commanded.fails = None
    assert caught.value.what == long[: LONGEST_TEXT - 1] + "…"
    assert len(to_message(StudyError("a\n" * 2000, faults=["a"] * 2000)).faults) == 2000


def test_a_bug_is_said_to_be_one_and_the_service_goes_on(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    here.commanded.fails = KeyError("patient 7")
    with commanding(here.folder) as coordinator:
        with pytest.raises(WardroundError, match="a bug in Wardround") as caught:
            coordinator.stop("lung")
        here.commanded.fails = None
        assert coordinator.stop("lung").name == "lung"
    assert caught.value.exit_code == 1
    assert "patient 7" not in str(caught.value)
    assert "a command failed because of a bug" in caplog.text


def test_a_command_and_an_answer_that_are_too_large_are_refused(here: Here) -> None:
    with commanding(here.folder) as coordinator:
        here.commanded.asked.clear()
        with pytest.raises(MessageError, match="256 KiB"):
            coordinator.run("x" * LARGEST_REQUEST_BYTES, "lung.toml")
        assert here.commanded.asked == []
        here.commanded.says = lambda: a_status("x" * LARGEST_ANSWER_BYTES)
        with pytest.raises(MessageError, match="4096 KiB"):
            coordinator.status()
        here.commanded.says = a_status
        assert coordinator.status() == a_status()


def test_the_service_takes_no_larger_command_from_a_side_that_does_not_hold_to_the_limit(here: Here) -> None:
    here.commanded.asked.clear()
    with address(here.folder) as path, grpc.insecure_channel(f"unix:{path}") as channel:
        run = channel.unary_unary("/wardround.control.Coordinator/Run")
        with pytest.raises(grpc.RpcError) as caught:
            run(b"\x0a" + bytes([0x80, 0x80, 0x20]) + b"x" * LARGEST_REQUEST_BYTES * 2, timeout=5)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert here.commanded.asked == []


def test_where_nobody_serves_it_is_said_how_to_start_it(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            pytest.raises(ServiceAwayError, match="no coordinator serves from this folder") as caught,
            commanding(tmp_path),
        ):
            pass
        assert caught.value.do == f"Start it: wardround coordinator serve {tmp_path}"
        (tmp_path / FOLDER).mkdir(exist_ok=True)
        for left_before in (tmp_path / FOLDER).iterdir():
            left_before.unlink()
        for name in (NAME, ".0a1b2c3d"):  # as kill -9 leaves it, before it has its name and after
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(tmp_path / FOLDER / name))
    with commanded(tmp_path), commanding(tmp_path) as coordinator:
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [NAME]
        assert coordinator.status() == a_status()


@contextmanager
def a_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process of its own."""
    script = (
        "import sys, time; from pathlib import Path; from commanded import Here\n"
        "here = Here(Path(sys.argv[1])); print('here', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_service_that_is_killed_ends_what_is_watched_and_does_not_hinder_the_next(tmp_path: Path) -> None:
    with a_process(tmp_path) as process, commanding(tmp_path) as coordinator:
        watching = coordinator.watch(0.1)
        next(watching)
        process.kill()
        with pytest.raises(ServiceAwayError):
            list(watching)
    assert (tmp_path / FOLDER / NAME).is_socket()
    assert not is_served(tmp_path)
    with commanded(tmp_path), commanding(tmp_path) as coordinator:
        assert coordinator.status() == a_status()


@pytest.mark.parametrize("name", ["50% ä #1? & more", "l" * 120], ids=["odd", "long"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    with commanded(tmp_path / name) as here:
        for _ in range(2):
            with commanding(here.folder) as coordinator:
                assert coordinator.status() == a_status()
    assert not is_served(here.folder)


def test_a_path_that_is_too_long_where_folders_cannot_be_named_by_number_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "OPEN_FOLDERS", tmp_path / "none")
    with pytest.raises(StorageError, match="too long for a UNIX socket"), commanded(tmp_path / ("l" * 120)):
        pass


def test_no_socket_where_none_can_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), commanded(tmp_path / "file"):
        pass


def test_who_watches_is_told_again_and_again_until_the_service_ends(tmp_path: Path) -> None:
    seen: list[float] = []
    with commanded(tmp_path) as here, commanding(tmp_path) as coordinator:
        watching = coordinator.watch(0.01)  # the service's own limit is above that
        began = time.monotonic()
        assert [next(watching) for _ in range(3)] == [a_status()] * 3
        assert time.monotonic() - began >= 2 * service.SOONEST_S
        threading.Timer(0.05, here.server.close).start()
        with pytest.raises(ServiceAwayError, match="no coordinator serves"):
            seen += [status.time for status in watching]
    assert len(seen) <= 2


def test_there_is_room_for_a_command_however_many_watch(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    with commanding(here.folder) as coordinator, commanding(here.folder) as another:
        watching = [coordinator.watch(10.0) for _ in range(service.WATCHERS)]
        for each in watching:
            next(each)
        with pytest.raises(ServiceError, match="are already watching this service"):
            next(another.watch(1.0))
        assert another.stop("lung").name == "lung"


@contextmanager
def liar(folder: Path, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    """Somebody at the socket who does not speak gRPC."""
    (folder / FOLDER).mkdir()
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(folder / FOLDER / NAME))
        here.listen()
        held = []

        def serve() -> None:
            while True:
                try:
                    taken, _ = here.accept()
                except OSError:
                    return
                held.append(taken)
                with suppress(OSError):  # who only looks whether anybody is here hangs up
                    answer(taken)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            here.shutdown(socket.SHUT_RDWR)
            thread.join(60)
            for taken in held:
                taken.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda taken: None, "did not answer within"),
        (lambda taken: taken.close(), "cannot be understood"),
        (lambda taken: taken.sendall(b'{"result": 1}\n' * 100), "cannot be understood"),
        (lambda taken: taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), "cannot be understood"),
    ],
    ids=["silent", "hangs up", "an older line protocol", "HTTP"],
)
def test_who_does_not_speak_our_language_is_said_to_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], object], said: str
) -> None:
    monkeypatch.setattr(line, "SILENT_S", 0.3)
    monkeypatch.setattr(line, "LOOK_S", 0.001)
    with liar(tmp_path, answer), pytest.raises(ServiceError, match=said) as caught, commanding(tmp_path):
        pass
    assert caught.value.do
    assert caught.value.exit_code == 8


class Answers(grpc.GenericRpcHandler):
    """A gRPC server that answers each method with given bytes."""

    def __init__(self, **answers: bytes | Callable[[grpc.ServicerContext], bytes]) -> None:
        self.answers = answers

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = self.answers.get(call.method.rpartition("/")[2])
        if answer is None:
            return None
        if call.method.endswith("Watch"):
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter([answer]))
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: answer(context) if callable(answer) else answer
        )


@contextmanager
def answering(folder: Path, **answers: bytes | Callable[[grpc.ServicerContext], bytes]) -> Iterator[None]:
    (folder / FOLDER).mkdir()
    ours = pb.Greeting(version=1, role="coordinator").SerializeToString()
    server = grpc.server(ThreadPoolExecutor(2), (), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((Answers(**{"Greet": ours} | answers),))
    server.add_insecure_port(f"unix:{folder / FOLDER / NAME}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait(5)


def said_by(folder: Path) -> WardroundError:
    with pytest.raises(WardroundError) as caught, commanding(folder) as coordinator:
        coordinator.status()
    return caught.value


def test_a_service_of_another_version_or_role_is_told_apart(tmp_path: Path) -> None:
    for number, (greeting, said) in enumerate(
        (
            (pb.Greeting(version=2, wardround="0.9", role="coordinator"), "Wardround 0.9, this command of"),
            (pb.Greeting(), "do not understand each other"),
            (pb.Greeting(version=1, role="hospital"), "a hospital serves here, not a coordinator"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with answering(folder, Greet=greeting.SerializeToString()):
            assert said in said_by(folder).what
    (tmp_path / "old").mkdir()
    with answering(tmp_path / "old", Greet=None):  # type: ignore[arg-type]  # it does not have it
        assert "Start the service again" in said_by(tmp_path / "old").do


def fail_with(value: bytes) -> Callable[[grpc.ServicerContext], bytes]:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(((KEY, value),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "")
        return b""

    return answer


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"\xff\xff\xff", ServiceError, "cannot be understood"),
        (
            pb.CoordinatorStatus(runs=[pb.Standing(stage="dancing")]).SerializeToString(),
            ServiceError,
            "cannot be understood",
        ),
        (b"x" * (LARGEST_ANSWER_BYTES + 1), MessageError, "too many ask"),
        (fail_with(b"\xff\xff\xff"), ServiceError, "cannot be understood"),
        (fail_with(b"x" * 1_000_000), MessageError, "too many ask"),
        (fail_with(pb.Error(type="Exception", what="a\x1b[2J").SerializeToString()), WardroundError, "a"),
    ],
    ids=["no message", "a stage that is none", "too large", "no error", "too large an error", "no class of ours"],
)
def test_a_service_that_lies_is_believed_nothing(
    tmp_path: Path, answer: bytes | Callable[[grpc.ServicerContext], bytes], kind: type[WardroundError], said: str
) -> None:
    with answering(tmp_path, Status=answer):
        found = said_by(tmp_path)
    assert type(found) is kind
    assert said in found.what


def test_a_service_that_stands_still_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def never(context: grpc.ServicerContext) -> bytes:
        stop.wait(10)
        return b""

    with answering(tmp_path, Status=never), connected(tmp_path, "coordinator") as to:
        stub = to.channel.unary_unary("/wardround.control.Coordinator/Status")
        with pytest.raises(ServiceError, match=r"did not answer within 0\.2 s"):
            to.ask(stub, b"", lambda answer: answer, 0.2)
        stop.set()


@pytest.mark.slow
def test_a_process_that_stands_still_is_noticed_by_who_watches(tmp_path: Path) -> None:
    with a_process(tmp_path) as process, commanding(tmp_path) as coordinator:
        watching = coordinator.watch(0.5)
        next(watching)
        process.send_signal(signal.SIGSTOP)
        since = time.monotonic()
        with pytest.raises(ServiceError, match="did not answer within 10 s"):
            list(watching)
        assert time.monotonic() - since < 30  # a busy machine's 10 s; gRPC's own patience is a minute


def health_of(folder: Path, name: str) -> int:
    with address(folder) as path, grpc.insecure_channel(f"unix:{path}") as channel:
        return int(HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=5).status)


def test_the_standard_health_service_says_what_is_in_the_way_as_a_whole_and_by_name(tmp_path: Path) -> None:
    away = ImagesAwayError("the folder of the images is empty", where="/images", do="Is its disk mounted?")
    found: dict[str, WardroundError | None] = {IMAGES: None, DISK: None}
    with commanded(tmp_path, lambda: dict(found)) as here:
        until(lambda: health_of(tmp_path, "") == HealthCheckResponse.SERVING)
        check_health(tmp_path, "coordinator")
        done = CliRunner().invoke(app, ["health", str(tmp_path)])
        assert (done.exit_code, done.output) == (0, "serving\n")
        found[IMAGES] = away
        here.health.look_again()
        until(lambda: health_of(tmp_path, "") == HealthCheckResponse.NOT_SERVING)
        assert health_of(tmp_path, IMAGES) == HealthCheckResponse.NOT_SERVING
        assert health_of(tmp_path, DISK) == HealthCheckResponse.SERVING
        with pytest.raises(ImagesAwayError) as caught:
            check_health(tmp_path, "coordinator")
        assert (str(caught.value), caught.value.exit_code) == (str(away), 4)
        with pytest.raises(grpc.RpcError) as unknown:
            health_of(tmp_path, "anything")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(ServiceAwayError):
        check_health(tmp_path, "coordinator")


def test_who_watches_health_by_the_standard_is_told_of_the_end(tmp_path: Path) -> None:
    with commanded(tmp_path) as here, address(tmp_path) as path, grpc.insecure_channel(f"unix:{path}") as channel:
        watching = HealthStub(channel).Watch(HealthCheckRequest(), timeout=10)
        until(lambda: next(watching).status == HealthCheckResponse.SERVING)
        closing = threading.Thread(target=here.server.close)
        closing.start()
        assert next(watching).status == HealthCheckResponse.NOT_SERVING
        watching.cancel()
        closing.join()


def test_there_is_room_for_a_command_however_many_watch_the_health(here: Here) -> None:
    with address(here.folder) as path, grpc.insecure_channel(f"unix:{path}") as channel:
        watching = [HealthStub(channel).Watch(HealthCheckRequest(), timeout=10) for _ in range(service.AT_ONCE + 4)]
        for each in watching:
            next(each)
        with commanding(here.folder) as coordinator:
            assert coordinator.stop("lung").name == "lung"
        for each in watching:
            each.cancel()


def test_a_service_that_cannot_look_is_not_well_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, looked = threading.Event(), []

    def look() -> dict[str, WardroundError | None]:
        looked.append(True)
        if len(looked) > 1:
            let_go.wait(10)  # as a network share that is gone
        return {IMAGES: None}

    with commanded(tmp_path, look) as here:
        until(lambda: health_of(tmp_path, "") == HealthCheckResponse.SERVING)
        here.health.look_again()
        until(lambda: len(looked) > 1)
        monkeypatch.setattr(health, "STALE_S", 0.0)
        with pytest.raises(ServiceError, match="has not seen to its health"):
            check_health(tmp_path, "coordinator")
        monkeypatch.undo()
        let_go.set()


def test_a_disk_without_room_is_full_before_a_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert full_disk(tmp_path) is None
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 2**62)
    error = full_disk(tmp_path)
    assert error
    assert (error.exit_code, error.kind) == (7, "disk-full")
    assert full_disk(tmp_path / "none") is None


@pytest.mark.parametrize("answer", [b"", b"\xff"], ids=["not known", "no message"])
def test_a_health_check_that_is_not_answered_is_not_well(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, Check=answer, Troubles=b""), pytest.raises(ServiceError):
        check_health(tmp_path, "coordinator")


def test_the_command_line_says_all_this_without_a_traceback(here: Here, tmp_path: Path) -> None:
    here.commanded.fails = MessageError("there is no run of this name", where="lung", do="See status.")
    done = CliRunner().invoke(app, ["stop", str(here.folder), "lung"])
    here.commanded.fails = None
    assert isinstance(done.exception, MessageError)
    assert str(done.exception) == "lung: there is no run of this name\n  → See status."
    shown = CliRunner().invoke(app, ["status", str(here.folder), "--json"])
    assert shown.exit_code == 0, shown.output
    assert '"stage": "training"' in shown.output
