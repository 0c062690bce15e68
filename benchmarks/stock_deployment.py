"""Flower's own secure aggregation in Flower's own deployment, as it is installed: SuperLink, SuperNodes, SecAgg+.

Each is the program that ``flwr`` brings, with TLS, and isolated as it is by default: each message is answered
by a process that is started for it. The app is in ``stock_flower``. No telemetry, no update check, no installation.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from link import Authority
from peer_programs.tree import marked

APP = Path(__file__).parent / "stock_flower"
PROGRAMS = Path(sys.executable).parent
START_S = 120.0
ROUND_S = 600.0
END_S = 30.0


def stock_rounds(folder: Path, hospitals: int, parameters: int, rounds: int) -> list[float]:
    """Return the seconds of each round of SecAgg+, from its first message to the mean; ``folder`` is empty."""
    authority = Authority(folder / "authority")
    ports = _free_ports(1 + hospitals)
    certificates = [f"--ssl-certfile={authority.server[0]}", f"--ssl-keyfile={authority.server[1]}"]
    certificates.append(f"--ssl-ca-certfile={authority.certificate}")
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "bench"\n\n[superlink.bench]\naddress = "127.0.0.1:{ports[0]}"\n'
        f'root-certificates = "{authority.certificate}"\n'
    )
    times = folder / "times"
    times.touch()
    with _programs(folder, home) as start:
        start("flower-superlink", f"--port={ports[0]}", "--disable-runtime-dependency-installation", *certificates)
        _listening(ports[0], folder)
        for port in ports[1:]:
            link = [f"--superlink=127.0.0.1:{ports[0]}", f"--root-certificates={authority.certificate}"]
            start("flower-supernode", *link, f"--port={port}", *certificates)
        for port in ports[1:]:
            _listening(port, folder)
        config = f"times='{times}' parameters={parameters} rounds={rounds} hospitals={hospitals}"
        if start("flwr", "run", str(APP), "bench", "--run-config", config).wait(START_S):
            raise SystemExit(_last_words(folder))
        end = time.monotonic() + rounds * ROUND_S
        while len(seconds := [float(line) for line in times.read_text().splitlines()]) < rounds:
            if time.monotonic() > end:
                raise SystemExit(_last_words(folder))
            time.sleep(1)
    return seconds


@contextmanager
def _programs(folder: Path, home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Yield a way to start Flower's programs; all of them, and what they started, have ended afterwards."""
    mark = f"FLWR_HOME={home}"
    environment = os.environ | {
        "FLWR_HOME": str(home),
        "HOME": str(home),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
    }
    started: list[subprocess.Popen[bytes]] = []
    with ExitStack() as logs:

        def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
            log = logs.enter_context((folder / f"{len(started)}-{program}.log").open("wb"))
            process = subprocess.Popen(
                [PROGRAMS / program, *arguments], stdout=log, stderr=log, env=environment, cwd=folder
            )
            started.append(process)
            return process

        try:
            yield start
        finally:
            for process in started:
                process.terminate()
            end = time.monotonic() + END_S
            while (left := marked(mark)) and time.monotonic() < end:
                time.sleep(0.5)
                for process in started:
                    process.poll()
            for number in left:
                os.kill(number, signal.SIGKILL)
            for process in started:
                process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as taken:
        return [taken.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _listening(port: int, folder: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(_last_words(folder)) from None
            time.sleep(0.5)


def _last_words(folder: Path) -> str:
    logs = sorted(folder.glob("*.log"))
    return "Flower's own deployment does not run:\n" + "\n".join(
        f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}" for log in logs
    )
