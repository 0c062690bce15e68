"""How long commands take that people and containers wait for: the help, and the health check of a hospital.

Each is a process of its own, in turns with ``python -c pass``; the least of many tries, since other processes of the
machine only add to it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import report
from wardround_common.control import HOSPITAL
from wardround_common.control.checking import check_health
from wardround_common.control.health import Health
from wardround_common.control.service import ControlServer
from wardround_common.errors import WardroundError

TRIES = 20
MEANINGS = {
    "python_s": "python -c pass",
    "help_s": "wardround --help",
    "health_s": "wardround hospital health, as a container asks every ten seconds",
}


def seconds(command: list[str]) -> float:
    """Return how long a command takes, by the clock on the wall; its exit code does not matter."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def well(state: Path) -> bool:
    """Whether the service of a folder says that it is well."""
    try:
        check_health(state, HOSPITAL)
    except WardroundError:
        return False
    return True


def main() -> None:
    """Measure, and report."""
    wardround = str(Path(sys.executable).with_name("wardround"))
    with tempfile.TemporaryDirectory() as state:
        server = ControlServer(Path(state), HOSPITAL, lambda grpc_server, watchers: None, Health(dict))
        while not well(Path(state)):
            time.sleep(0.05)
        commands = {
            "python_s": [sys.executable, "-c", "pass"],
            "help_s": [wardround, "--help"],
            "health_s": [wardround, "hospital", "health", "--state", state],
        }
        tries = [{name: seconds(command) for name, command in commands.items()} for _ in range(TRIES)]
        server.close()
    report("commands", {name: min(one[name] for one in tries) for name in MEANINGS}, MEANINGS)


if __name__ == "__main__":
    main()
