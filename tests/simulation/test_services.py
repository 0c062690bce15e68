"""From enrolment to model by the commands alone: services as processes, approvals, shared keys, budgets, kill -9."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from examples import DP, STUDY
from link import until
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospitals

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-c", "from wardround_common.cli import main; main()"]
NAMES = ("hospital-a", "hospital-b", "hospital-c")
WAIT_S = 180.0


class Site:
    """A coordinator and three hospitals in one folder, driven by the command line and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        make_hospitals(folder / "data", seed=1, hospitals=3, patients=40)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
        self.run("coordinator", "init", "C", "--host", "127.0.0.1", "--port", port)
        for name in NAMES:
            self.run("hospital", "init", name, "--data", f"data/{name}", "--state", name)
            self.run("coordinator", "enrol", "C", f"{name}.request", "--yes")
        self.start("C")
        for name in NAMES:
            self.start(name)

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self.call(*arguments)
        assert done.returncode == code, done.stdout + done.stderr + self.logs()
        return done.stdout + done.stderr

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def environment(self) -> dict[str, str]:
        return os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "200"}

    def start(self, who: str) -> None:
        of_hospital = ["hospital", "serve", f"{who}.invitation", "--state", who, "--yes"]
        arguments = ["coordinator", "serve", "C", "--bind", "127.0.0.1"] if who == "C" else of_hospital
        with (self.folder / f"{who}.log").open("ab") as log:
            self.running[who] = subprocess.Popen(
                [*COMMAND, *arguments], cwd=self.folder, env=self.environment(), stdout=log, stderr=log
            )

        if who == "C":
            until(lambda: self.call("coordinator", "status", "C").returncode == 0, WAIT_S)

    def kill(self, who: str) -> None:
        self.running[who].kill()
        self.running[who].wait()

    def study(self, name: str, **sections: dict[str, Any]) -> None:
        tables: dict[str, Any] = {key: dict(table) for key, table in STUDY.items()}
        tables["study"] |= {"name": name, "classes": list(CLASSES)}
        tables["data"] |= {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24}
        tables["model"] |= {"network": "tiny-cnn"}
        tables["privacy"] = DP | {"delta": 1e-5}
        tables["aggregation"] = {"secure": True, "min_hospitals": 3}
        for section, changes in sections.items():
            tables[section] = tables[section] | changes
        roster = self.run("coordinator", "roster", "C")
        (self.folder / f"{name}.toml").write_text(tomli_w.dumps(tables) + roster, encoding="utf-8")

    def approve(self, name: str) -> None:
        for hospital in NAMES:
            proposed = ["hospital", "studies", "--state", hospital, "--json"]
            until(lambda proposed=proposed: name in self.run(*proposed), WAIT_S)  # type: ignore[misc]
            assert "Approved." in self.run("hospital", "approve", name, "--state", hospital, "--yes")

    def status(self, name: str) -> dict[str, Any]:
        runs = json.loads(self.run("coordinator", "status", "C", "--json"))["runs"]
        return next((run for run in runs if run["name"] == name), {"stage": "", "round": 0, "said": ""})

    def until_over(self, name: str) -> dict[str, Any]:
        until(lambda: self.status(name)["stage"] in ("done", "incomplete", "failed", "stopped"), WAIT_S)
        return self.status(name)

    def logs(self) -> str:
        return "".join(f"\n--- {path.name}\n{path.read_text()[-1500:]}" for path in self.folder.glob("*.log"))


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("s"))
    try:
        yield made
    finally:
        for process in made.running.values():
            process.kill()
            process.wait()


def check_audit(site: Site, hospital: str) -> None:
    """Hold both ends' logs against each other, by the commands of both; every charge is in the hospital's."""
    site.run("coordinator", "audit", "export", "C", "C.audit")
    site.run("hospital", "audit", "export", "h.audit", "--state", hospital)
    for said in (
        site.run("coordinator", "audit", "verify", "C", "--against", "h.audit"),
        site.run("hospital", "audit", "verify", "--state", hospital, "--against", "C.audit"),
    ):
        assert "none that must be is missing" in said
    lines = site.run("hospital", "audit", "--state", hospital, "--last", "10000", "--json").splitlines()
    entries = [json.loads(line) for line in lines]
    charged = [entry["facts"]["round"] for entry in entries if entry["what"] == "round charged"]
    assert charged == sorted(charged)
    assert set(charged) == set(range(1, max(charged) + 1))
    assert {"invitation accepted", "study approved", "head received"} <= {entry["what"] for entry in entries}


def test_from_enrolment_to_model_with_secure_sums_and_privacy_by_commands_alone(site: Site) -> None:
    site.study("first")
    site.run("coordinator", "run", "C", "first.toml", "--detach")
    site.approve("first")
    assert site.until_over("first")["stage"] == "done", site.logs()
    assert "Copied" in site.run("coordinator", "export", "C", "first")
    assert (site.folder / "first" / "model.safetensors").stat().st_size > 1000
    for name in NAMES:
        spent = json.loads(site.run("hospital", "budget", "--state", name, "--json"))
        assert "first" in json.dumps(spent)
        assert "whole" in site.run("hospital", "ledger", "verify", "--state", name)
        assert '"state": "waiting"' in site.run("hospital", "status", "--state", name, "--json")
    logs = site.logs()
    assert str(site.folder / "data") not in (site.folder / "C.log").read_text(), logs  # no path of a hospital leaves
    check_audit(site, "hospital-a")


def test_kill_9_of_the_coordinator_and_of_a_hospital_loses_no_round_and_charges_none_twice(site: Site) -> None:
    site.study("second", training={"rounds": 5})
    site.run("coordinator", "run", "C", "second.toml", "--detach")
    site.approve("second")
    until(lambda: site.status("second")["round"] >= 1, WAIT_S)
    site.kill("hospital-b")
    site.kill("C")
    site.start("C")
    site.start("hospital-b")
    standing = site.until_over("second")
    assert (standing["stage"], standing["round"]) == ("done", 5), site.logs()
    check_audit(site, "hospital-b")
    for name in NAMES:
        (study,) = json.loads(site.run("hospital", "budget", "--state", name, "--json"))["studies"]
        assert study["charged"] == 5


def test_a_refusal_and_a_policy_stop_a_study_and_say_so(site: Site) -> None:
    site.study("bare", privacy={"mechanism": "none"})
    text = (site.folder / "bare.toml").read_text().split("[privacy]")
    rest = text[1].split("[aggregation]")[1]
    (site.folder / "bare.toml").write_text(f'{text[0]}[privacy]\nmechanism = "none"\n\n[aggregation]{rest}')
    site.run("coordinator", "run", "C", "bare.toml", "--detach")
    until(lambda: "bare" in site.run("hospital", "studies", "--state", NAMES[0]), WAIT_S)
    said = site.run("hospital", "approve", "bare", "--state", NAMES[0], "--yes", code=5)
    assert "it has no differential privacy" in said
    site.run("hospital", "refuse", "bare", "--state", NAMES[0])
    standing = site.until_over("bare")
    assert standing["stage"] == "failed"
    assert "these refused it: hospital-a" in standing["said"]


def test_pausing_and_revoking_show_at_once_without_a_restart_and_a_second_service_is_refused(site: Site) -> None:
    def connected() -> set[str]:
        hospitals = json.loads(site.run("coordinator", "status", "C", "--json"))["hospitals"]
        return {one["name"] for one in hospitals if one["connected"]}

    def paused() -> set[str]:
        hospitals = json.loads(site.run("coordinator", "status", "C", "--json"))["hospitals"]
        return {one["name"] for one in hospitals if one["paused"]}

    until(lambda: connected() == set(NAMES), WAIT_S)
    site.run("hospital", "pause", "--state", "hospital-a")
    until(lambda: paused() == {"hospital-a"}, WAIT_S)
    assert connected() == set(NAMES)
    assert '"state": "paused"' in site.run("hospital", "status", "--state", "hospital-a", "--json")
    site.run("hospital", "go-on", "--state", "hospital-a")
    until(lambda: paused() == set(), WAIT_S)
    site.run("coordinator", "revoke", "C", "hospital-c")
    until(lambda: connected() == {"hospital-a", "hospital-b"}, WAIT_S)
    assert "another process works with this folder" in site.run("coordinator", "serve", "C", code=7)
    assert "another process works with this folder" in site.run("hospital", "serve", "--state", "hospital-a", code=7)
