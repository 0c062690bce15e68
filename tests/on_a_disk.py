"""Runs commands on a disk of their own, in a name space of mounts: ``python on_a_disk.py FOLDER`` prints what became of
each, as JSON. FOLDER holds a hospital's state folder A and a coordinator's folder C; ``unshare -rm`` starts it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app as hospital
from wardround_client.state.approvals import Approvals
from wardround_client.state.pause import paused_since
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import lines
from wardround_server.commands.coordinator_cli import app as coordinator

READS = (
    *(f"hospital {what} --state A" for what in ("status", "studies", "budget", "ledger verify", "ledger head")),
    *(f"hospital audit {what} --state A" for what in ("show", "verify", "head")),
    *(f"coordinator {what} C" for what in ("hospitals", "roster", "audit show", "audit verify", "audit head")),
)
GIVES_OUT = ("hospital statement study-a --state A --out OUT/a.statement", "hospital audit export OUT/a.log --state A")
DECIDES = (
    "hospital refuse test --state A",
    "hospital pause --state A",
    "hospital close aaa --state A",
    "coordinator revoke C mercy --yes",
    "coordinator renew C",
)


def run(folder: Path, command: str) -> Result:
    who, *words = command.split()
    places = {"A": folder / "A", "C": folder / "C"}
    said = [str(places.get(word, word)).replace("OUT/", f"{folder.parent}/") for word in words]
    return CliRunner().invoke(hospital if who == "hospital" else coordinator, said)


def became(folder: Path, commands: tuple[str, ...]) -> dict[str, str]:
    done = {command: run(folder, command) for command in commands}
    return {command: str(result.exception or "done") for command, result in done.items()}


def state(folder: Path) -> dict[str, object]:
    """Say what is so, and what the two logs say last."""
    last = {who: read_line(list(lines(folder / who / "audit"))[-1]).what for who in "AC"}
    [proposal] = Approvals(folder / "A" / "studies").all()
    revoked = len(list((folder / "C" / "revoked").glob("*.json")))
    return {"said": last, "decision": proposal.decision, "paused": bool(paused_since(folder / "A")), "revoked": revoked}


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def main(folder: Path) -> None:
    found: dict[str, object] = {}
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)
    found["read only"] = became(folder, READS + GIVES_OUT)
    disk = folder.parent / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m,mode=0700", "none", disk)
    for who in "AC":
        shutil.copytree(folder / who, disk / who)
    ballast = disk / "ballast"
    found["before"] = state(disk)
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    found["full"] = became(disk, READS)
    found["decisions"] = became(disk, DECIDES)
    found["after"] = state(disk)
    ballast.unlink()
    found["with room"] = became(disk, DECIDES[:1] + DECIDES[3:4])
    found["at last"] = state(disk)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
