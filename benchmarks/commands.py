"""How long commands take that people and containers wait for: the help, and the health check of a hospital.

Each is a process of its own, in turns with ``python -c pass``; the least of many tries, since other processes of the
machine only add to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import report
from wardround_client.service.status_file import STATUS

TRIES = 20
MEANINGS = {
    "python_s": "python -c pass",
    "help_s": "wardround --help",
    "health_s": "wardround hospital status --check, as a container asks every half minute",
}


def seconds(command: list[str]) -> float:
    """Return how long a command takes, by the clock on the wall; its exit code does not matter."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and report."""
    wardround = str(Path(sys.executable).with_name("wardround"))
    with tempfile.TemporaryDirectory() as state:
        facts = {"state": "waiting", "since": "2026-01-01T00:00:00+00:00", "doing": "", "fault": ""}
        (Path(state) / STATUS).write_text(json.dumps(facts | {"certificate_until": "2027-01-01T00:00:00+00:00"}))
        commands = {
            "python_s": [sys.executable, "-c", "pass"],
            "help_s": [wardround, "--help"],
            "health_s": [wardround, "hospital", "status", "--check", "--state", state],
        }
        tries = [{name: seconds(command) for name, command in commands.items()} for _ in range(TRIES)]
    report("commands", {name: min(one[name] for one in tries) for name in MEANINGS}, MEANINGS)


if __name__ == "__main__":
    main()
