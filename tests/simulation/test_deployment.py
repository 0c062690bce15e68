"""The whole way over loopback: a coordinator and three hospitals, each a process of its own, TLS and secure sums on."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployment import Deployment
from examples import study
from link import Authority, new_key, private_pem, public_pem, until
from wardround_common.study.file import Study
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_simulation.federation import Federation
from wardround_simulation.phantoms import CLASSES, SCANNERS
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent.parent / "deployment.py"


def secure_study() -> Study:
    return study(
        task={"classes": list(CLASSES)},
        data={"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24},
        aggregation={"secure": True, "min_hospitals": 3},
    )


class Processes:
    """The processes of a deployment; whatever is left is killed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{'-'.join(arguments)}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), arguments[0], str(self._folder), *arguments[1:]],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._running.append(process)
        return process

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


@contextmanager
def deployed(folder: Path, federation: Federation) -> Iterator[Processes]:
    folder.mkdir()
    keys = {site.name: new_key() for site in federation.sites}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    Authority(folder / "authority")
    public = {name: public_pem(key) for name, key in keys.items()}
    private = {name: private_pem(key) for name, key in keys.items()}
    (folder / "deployment.pickle").write_bytes(pickle.dumps(Deployment(federation, public, private, port)))
    processes = Processes(folder)
    try:
        yield processes
    finally:
        processes.end()


def simulated(federation: Federation, folder: Path) -> bytes:
    """Return the parameters that the simulator ends with."""
    simulate(Plan(federation.study, federation.sites, folder, False, False), InThisProcess(), lambda progress: None)
    return read_checkpoint(folder / "checkpoint", federation.study).parameters.tobytes()


def trained(folder: Path, of: Study) -> bytes:
    return read_checkpoint(folder / "coordinator" / "checkpoint", of).parameters.tobytes()


def test_a_deployment_gives_the_simulators_model_byte_for_byte(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = secure_study()
    folder = tmp_path / "deployment"
    federation = Federation(of, sites_in(hospitals, Places(None, None, frozenset(), state)), folder / "desks")
    expected = simulated(federation, tmp_path / "simulation")
    with deployed(folder, federation) as processes:
        attending = [processes.start("hospital", site.name) for site in federation.sites]
        coordinator = processes.start("coordinator")
        assert coordinator.wait(240) == 0, (folder / "coordinator.log").read_text()[-3000:]
        for hospital in attending:
            hospital.send_signal(signal.SIGTERM)
        assert [hospital.wait(30) for hospital in attending] == [0, 0, 0]
    assert trained(folder, of) == expected


def test_kill_9_of_coordinator_and_hospital_in_a_round_changes_no_byte_of_the_model(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = secure_study()
    folder = tmp_path / "deployment"
    federation = Federation(of, sites_in(hospitals, Places(None, None, frozenset(), state)), folder / "desks")
    expected = simulated(federation, tmp_path / "simulation")
    names = [site.name for site in federation.sites]
    with deployed(folder, federation) as processes:
        attending = {name: processes.start("hospital", name) for name in names}
        coordinator = processes.start("coordinator")
        for victims in (1, 2):  # once in round 1 or 2, once later
            until((folder / "coordinator" / "checkpoint").exists, 240)
            assert coordinator.poll() is None
            coordinator.kill()
            coordinator.wait()
            for name in names[:victims]:
                attending[name].kill()
                attending[name].wait()
            coordinator = processes.start("coordinator")
            attending |= {name: processes.start("hospital", name) for name in names[:victims]}
        assert coordinator.wait(240) == 0, (folder / "coordinator.log").read_text()[-3000:]
    assert trained(folder, of) == expected
