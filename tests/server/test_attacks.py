"""What a coordinator or an enrolled hospital could try against the other's machine, each as a test of our defence."""

from __future__ import annotations

import io
import pickle
import random
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.constant import NOOP_FLWR_AID
from flwr.proto import fleet_pb2
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType

from link import Place, question, until, vector_of
from wardround_client.hospital.app import client_app
from wardround_client.link import wire
from wardround_client.link.wire import NotWantedError, Wire, another_version
from wardround_client.service.ward import Ward
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import LinkError
from wardround_common.messages.rounds import TrainRequest
from wardround_server.link.fleet import FLEET
from wardround_server.link.superlink import SuperLink

VECTOR = np.arange(5.0)
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn")
started: list[str] = []
watching = False


def _watch(event: str, _: tuple[Any, ...]) -> None:
    if watching and event in PROCESSES:
        started.append(event)


sys.addaudithook(_watch)  # it cannot be taken away again, and does nothing while nobody watches


@contextmanager
def processes_watched() -> Iterator[list[str]]:
    global watching
    started.clear()
    watching = True
    try:
        yield started
    finally:
        watching = False


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def explosive(mark: Path) -> bytes:
    """Write an array in NumPy's form that runs code when it is read with pickles allowed."""
    content = io.BytesIO()
    np.save(content, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    return content.getvalue()


def asked(node: int, kind: str, array: Array) -> Message:
    content = RecordDict({"fields": ConfigRecord({"study": "0" * 64}), "arrays": ArrayRecord({"parameters": array})})
    return Message(content, dst_node_id=node, message_type=kind)


@pytest.mark.parametrize("kind", [TrainRequest.kind, "query.exec"])
def test_code_that_a_coordinator_sends_is_not_run(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "it ran"
    content = explosive(mark)
    np.load(io.BytesIO(content), allow_pickle=True)
    assert mark.exists()  # it would run
    mark.unlink()
    place = Place(tmp_path / "place")
    app = client_app(lambda context: Ward(HospitalFolder(tmp_path / "state")))
    with place.coordinator("mercy") as link, place.hospital("mercy", app):
        until(link.here)
        grid = link.grid(link.new_run())
        array = Array("float32", (1,), "numpy.ndarray", content)
        for sent in (array, Array("float32", (1,), "numpy.ndarray", pickle.dumps(Bomb(mark)))):
            [came] = grid.send_and_receive([asked(link.here()[0], kind, sent)], timeout=20)
            assert came.has_error()
            assert "it ran" not in str(came.error.reason)
        assert not mark.exists()


def test_a_bundle_that_belongs_to_a_run_is_never_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: set[str] = set()
    ask = wire.Wire.ask

    def recording(self: Any, path: str, *rest: Any) -> Any:
        paths.add(FLEET + path)
        return ask(self, path, *rest)

    monkeypatch.setattr(wire.Wire, "ask", recording)
    place = Place(tmp_path)
    with place.coordinator("mercy") as link:
        with place.hospital("mercy"):
            until(link.here)
            grid = link.grid(run_with_a_bundle(link))
            assert grid.run.fab_id == "somebody/app"
            [came] = grid.send_and_receive([question(link.here()[0], VECTOR)], timeout=20)
            np.testing.assert_array_equal(vector_of(came), 2 * VECTOR)
        assert FLEET + "pull-messages" in paths
        assert paths <= link._fleet.paths
        assert not any("fab" in path or "run" in path for path in paths)


def run_with_a_bundle(link: SuperLink) -> int:
    run: int = link.state.create_run(
        "somebody/app", "1.0.0", "0" * 64, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
    )
    task = link.run_of(run).primary_task_id
    assert task
    assert link.state.claim_task(task)
    assert link.state.activate_task(task)
    return run


def test_an_exchange_starts_no_process_and_imports_from_nowhere_new(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.coordinator("mercy") as link:
        modules, path = set(sys.modules), list(sys.path)
        with processes_watched() as begun, place.hospital("mercy"):
            until(link.here)
            link.grid(link.new_run()).send_and_receive([question(link.here()[0])], timeout=20)
        assert begun == []
        assert sys.path == path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            assert file is None or any(entry and Path(file).is_relative_to(entry) for entry in path), name


def test_a_process_would_be_noticed() -> None:
    import subprocess

    with processes_watched() as begun:
        subprocess.run(["true"], check=True)
    assert begun


def refused(wire: Wire, name: str, body: bytes) -> bool:
    """Say whether the coordinator refuses a body, in one of the two ways in which it refuses what it cannot read."""
    try:
        wire.ask(name, body, fleet_pb2.DeactivateNodeResponse)
    except NotWantedError:
        return True
    except LinkError as error:
        return str(error) == str(another_version(error.where or ""))
    return False


@pytest.mark.slow
def test_garbage_from_an_enrolled_hospital_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    place = Place(tmp_path)
    source = random.Random(5)
    with place.coordinator("mercy", "north") as link, closing(place.wire("mercy")) as wire:
        whole = fleet_pb2.PushMessagesRequest()
        whole.node.node_id = next(iter(link.nodes()))
        whole.messages_list.add().metadata.run_id = 7
        for path in sorted(link._fleet.paths):
            for size in (0, 1, 7, 64, 4000):
                name, body = path.removeprefix(FLEET), source.randbytes(size)
                assert refused(wire, name, body)
                for mangled in (whole.SerializeToString() + body, whole.SerializeToString()[:size]):
                    refused(wire, name, mangled)  # or not: a part of it may be a request about its own node
        north = next(node for node, name in link.nodes().items() if name == "north")
        with place.hospital("north"):
            until(lambda: north in link.here())
            [came] = link.grid(link.new_run()).send_and_receive([question(north, VECTOR)], timeout=20)
            np.testing.assert_array_equal(vector_of(came), 2 * VECTOR)
