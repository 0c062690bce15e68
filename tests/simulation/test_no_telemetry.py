"""No dependency phones home: every attempt to reach somebody is noted, in every process, and all stay on this machine.

Attempts of Python code are noted by an audit hook; with a C compiler at hand also those of C code. A process that makes
system calls of its own, or is linked statically, would not be seen.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from examples import STUDY
from processes import COMMAND, Site
from wardround_common.shell.cli import NO_TELEMETRY
from wardround_simulation.phantoms import CLASSES, SCANNERS

RAYS_OWN = {"169.254.169.254", "metadata.google.internal"}
"""Where Ray asks in which cloud it runs, whatever it is told; it sends nothing there (docs/monitoring.md)."""
HOOKS = Path(__file__).parents[1] / "connections"
COMPILER = shutil.which("cc")

IMPORT_ALL = """
from wardround_common.shell.cli import quieten
quieten()
import importlib, pkgutil, sys, time, warnings
warnings.simplefilter("ignore")
names = []
for package in ("wardround_common", "wardround_client", "wardround_server", "wardround_simulation"):
    root = importlib.import_module(package)
    names += [found.name for found in pkgutil.walk_packages(root.__path__, package + ".")]
for name in names:
    if name.endswith("__main__"):
        continue
    importlib.import_module(name)
for name in ("flwr", "torch", "monai", "opacus", "pydicom", "httpx", "uvicorn", "prometheus_client", *sys.argv[1:]):
    importlib.import_module(name)
time.sleep(1)
print(len(names))
"""


@dataclass(frozen=True)
class Watch:
    """Notes whom the processes that get this environment try to reach."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        found = os.environ | {"CONNECTIONS": str(self.folder / "attempts")}
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH", "")]))
        for name in NO_TELEMETRY:
            found.pop(name, None)  # what the command itself turns off is what counts
        if COMPILER:
            shim = self.folder / "connections.so"
            if not shim.exists():
                source = HOOKS / "connections.c"
                subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
            found["LD_PRELOAD"] = str(shim)
        return found

    def run(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, encoding="utf-8", timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def attempts(self) -> list[str]:
        path = self.folder / "attempts"
        return path.read_text().splitlines() if path.exists() else []

    def abroad(self) -> set[str]:
        """Return the attempts to reach anything beyond this machine."""
        return {line for line in self.attempts() if not _here(line.split(" ", 1)[1])}


def _here(whom: str) -> bool:
    if whom in ("localhost", "None", "", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(whom)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def test_an_attempt_is_seen_in_a_process_its_child_and_in_c_so_that_these_tests_can_fail(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    attempt = """
import socket, subprocess, sys
line = socket.socket(); line.settimeout(0.01)
try: line.connect(("203.0.113.1", 9))  # an address that documents use, and nobody has
except OSError: pass
try: socket.getaddrinfo("telemetry.invalid", 443)
except OSError: pass
if sys.argv[1:]: subprocess.run([sys.executable, "-c", sys.argv[1].replace("203.0.113.1", "203.0.113.2")], check=True)
"""
    watch.run(sys.executable, "-c", attempt, attempt)
    seen = watch.abroad()
    assert {"socket.connect 203.0.113.1", "socket.connect 203.0.113.2", "socket.getaddrinfo telemetry.invalid"} <= seen
    if COMPILER:
        assert {"connect 203.0.113.1", "connect 203.0.113.2", "getaddrinfo telemetry.invalid"} <= seen


def test_the_port_of_the_metrics_asks_nobody_for_this_machines_name(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    serve = """
import urllib.request
from wardround_common.shell.metrics_port import MetricsPort
port = MetricsPort(0)
print(urllib.request.urlopen(port.address).status)
port.close()
"""
    assert watch.run(sys.executable, "-c", serve).strip() == "200"
    assert {line.split(" ", 1)[1] for line in watch.attempts()} == {"127.0.0.1"}
    assert not [line for line in watch.attempts() if "gethostby" in line]


@pytest.mark.slow
def test_importing_everything_reaches_nobody(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    extras = [
        name for name in ("ray", "mlflow.tracking", "tensorboardX") if importlib.util.find_spec(name.split(".")[0])
    ]
    modules = watch.run(sys.executable, "-c", IMPORT_ALL, *extras)
    assert int(modules) > 150
    assert watch.abroad() == set()


class WatchedSite(Site):
    """A coordinator and three hospitals as processes whose attempts are noted, for `test_services.py`."""

    def environment(self) -> dict[str, str]:
        return super().environment() | self.watch.environment

    @property
    def watch(self) -> Watch:
        return Watch(self.folder)


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("in-process", marks=pytest.mark.slow),
        pytest.param("flower", marks=pytest.mark.quiet),  # watched, Ray may not start within its own limits
    ],
)
def test_a_simulation_reaches_nobody(engine: str, hospitals: Path, tmp_path: Path) -> None:
    if engine == "flower":
        pytest.importorskip("ray")
    tables = {name: dict(table) for name, table in STUDY.items()}
    tables["task"]["classes"] = list(CLASSES)
    tables["data"] |= {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24}
    tables["training"]["rounds"] = 1
    tables["tracking"] = {"mlflow": True, "tensorboard": True}
    (tmp_path / "study.toml").write_text(tomli_w.dumps(tables))
    watch = Watch(tmp_path)
    watch.run(
        *COMMAND,
        *("simulate", "study.toml", "--hospitals", str(hospitals), "--out", "run", "--state", str(tmp_path / "state")),
        *("--no-baselines", "--workers", "1", "--engine", engine),
        cwd=tmp_path,
    )
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert {line for line in watch.abroad() if engine != "flower" or line.split(" ", 1)[1] not in RAYS_OWN} == set()
