"""The README's first round, line by line as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from link import until
from wardround_simulation.phantoms import make_hospitals

README = Path(__file__).parents[2] / "README.md"
WITHIN_S = 240.0
SERVES = " &"


def commands() -> list[str]:
    """Return the commands of the section, in the order in which a person types them."""
    section = README.read_text(encoding="utf-8").split("### The first round, on one machine\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```$", section, re.M | re.S)
    return "".join(blocks).splitlines()


def test_the_section_needs_no_editor_and_as_many_commands_as_are_counted() -> None:
    typed = commands()
    assert typed[0] == ". .venv/bin/activate"
    assert all(line.startswith("wardround ") for line in typed[1:])
    counted = (README.parent / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"| commands after the installation | {len(typed) - 1} |" in counted


def test_no_private_key_of_the_section_is_committed_by_a_git_add_of_everything() -> None:
    ignored = (README.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    folders = set(re.findall(r"(?:--state|coordinator init) (\S+)", "\n".join(commands())))
    assert folders == {"A", "B", "C"}
    assert {f"/{name}/" for name in folders} <= {*ignored}


@pytest.mark.slow
def test_the_readmes_first_round_is_a_round(tmp_path: Path) -> None:
    make_hospitals(
        tmp_path / "runs" / "demo" / "hospitals", seed=0, hospitals=2, patients=80
    )  # what `make demo` leaves
    (tmp_path / "bin").mkdir()
    wardround = tmp_path / "bin" / "wardround"
    wardround.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from wardround_common.shell.cli import main; main()" "$@"\n'
    )
    wardround.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{wardround.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    serving: list[subprocess.Popen[bytes]] = []

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WITHIN_S
        )

    try:
        for line in commands()[1:]:
            if line.endswith(SERVES):
                command = f"exec {line.removesuffix(SERVES)} 2>&1"
                serving.append(subprocess.Popen(["bash", "-c", command], cwd=tmp_path, env=environment))
                if "coordinator" in line:  # a person takes longer to type the next line
                    until(lambda: run("wardround coordinator status C").returncode == 0, WITHIN_S)
                continue
            if " approve " in line:
                state = line.split("--state ")[1].split()[0]
                proposed = f"wardround hospital studies --state {state}"
                until(lambda proposed=proposed: "first" in run(proposed).stdout, WITHIN_S)  # type: ignore[misc]
            done = run(line)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

        def rounds() -> int:
            (standing,) = json.loads(run("wardround coordinator status C --json").stdout)["runs"]
            assert standing["stage"] not in ("failed", "stopped", "incomplete"), standing
            return int(standing["round"])

        until(lambda: rounds() >= 1, WITHIN_S)
    finally:
        for process in serving:
            process.kill()
            process.wait()
