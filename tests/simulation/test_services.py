"""From enrolment to model by the commands alone: services as processes, approvals, shared keys, budgets, kill -9."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from test_no_telemetry import WatchedSite

from examples import DP
from link import until
from processes import NAMES, WAIT_S, Site, services
from wardround_common.control.place import is_served
from wardround_common.keys.identity import fingerprint
from wardround_server.state.coordinator_folder import CoordinatorFolder

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with services(tmp_path_factory.mktemp("s")) as made:
        yield made


def listens_at(pid: int) -> set[int]:
    """Find the TCP ports at which a process of this machine listens (Linux)."""
    process, sockets = Path("/proc") / str(pid), set()
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed in between
            sockets.add(str(file.readlink()))
    lines = [line.split() for table in ("tcp", "tcp6") for line in (process / "net" / table).read_text().splitlines()]
    ours = [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]
    return {int(line[1].rpartition(":")[2], 16) for line in ours}


def check_audit(site: Site, hospital: str, first: int = 1) -> None:
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
    assert set(charged) == set(range(first, max(charged) + 1))
    assert {"invitation accepted", "study approved", "head received"} <= {entry["what"] for entry in entries}


@pytest.fixture
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedSite]:
    site = WatchedSite(tmp_path_factory.mktemp("s"))
    try:
        site.start_all()
        yield site
    finally:
        site.end()


def test_from_enrolment_to_model_with_secure_sums_and_privacy_by_commands_alone_nobody_else_is_reached(
    watched: WatchedSite,
) -> None:
    site = watched
    noisy = DP | {"delta": 1e-5, "normalisation_epsilon": 0.8}
    site.study("first", data={"normalisation": "federation"}, privacy=noisy)
    with (site.folder / "first.toml").open("a") as file:
        file.write("\n[tracking]\nmlflow = true\ntensorboard = true\n")
    site.run("coordinator", "run", "C", "first.toml", "--detach")
    site.approve("first")
    assert site.until_over("first")["stage"] == "done", site.logs()
    said = site.run("coordinator", "export", "C", "first")
    assert "Copied" in said
    signer = said.rpartition("Signed, fingerprint ")[2].strip()
    assert signer == fingerprint(CoordinatorFolder(site.folder / "C").identity().public)
    assert "Verified." in site.run("release", "verify", "first", "--coordinator", signer)
    tensors = load_file(site.folder / "first" / "model.safetensors")
    assert 0 < float(tensors["input_mean"][0]) < 1
    assert 0.05 <= float(tensors["input_deviation"][0]) < 0.6
    for name in NAMES:
        spent = json.loads(site.run("hospital", "budget", "--state", name, "--json"))
        assert "first" in json.dumps(spent)
        (study,) = spent["studies"]
        assert 7 < study["epsilon_spent"] == study["epsilon_planned"] <= 8  # what was added up before is within it
        assert "intact" in site.run("hospital", "ledger", "verify", "--state", name)
        assert '"state": "waiting"' in site.run("hospital", "status", "--state", name, "--json")
    logs = site.logs()
    assert str(site.folder / "data") not in (site.folder / "C.log").read_text(), logs  # no path of a hospital leaves
    check_audit(site, "hospital-a", first=0)
    assert (site.folder / "C" / "runs" / "first" / "mlflow.db").exists(), logs
    assert site.watch.attempts().count("socket.connect 127.0.0.1") >= len(NAMES)
    assert site.watch.abroad() == set()


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
    site.run("coordinator", "run", "C", "bare.toml", "--detach")
    until(lambda: "bare" in site.run("hospital", "studies", "--state", NAMES[0]), WAIT_S)
    said = site.run("hospital", "approve", "bare", "--state", NAMES[0], "--yes", code=5)
    assert "it has no differential privacy" in said
    site.run("hospital", "refuse", "bare", "--state", NAMES[0])
    standing = site.until_over("bare")
    assert standing["stage"] == "failed"
    assert "these refused it: hospital-a" in standing["said"]


def test_a_hospital_listens_at_no_port_and_a_coordinator_at_one(site: Site) -> None:
    def connected() -> int:
        status = json.loads(site.run("coordinator", "status", "C", "--json"))
        return sum(one["connected"] for one in status["hospitals"])

    until(lambda: connected() == len(NAMES), WAIT_S)
    assert listens_at(site.running["C"].pid) == {site.port}
    assert [listens_at(site.running[name].pid) for name in NAMES] == [set()] * len(NAMES)


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
    site.run("hospital", "resume", "--state", "hospital-a")
    until(lambda: paused() == set(), WAIT_S)
    site.run("coordinator", "revoke", "C", "hospital-c", "--yes")
    until(lambda: connected() == {"hospital-a", "hospital-b"}, WAIT_S)
    assert "another process is using this folder" in site.run("coordinator", "serve", "C", code=7)
    assert "another process is using this folder" in site.run("hospital", "serve", "--state", "hospital-a", code=7)


def test_two_copies_of_a_hospital_that_both_serve_are_said_at_both_ends(site: Site) -> None:
    def warnings() -> list[str]:
        hospitals = json.loads(site.run("coordinator", "status", "C", "--json"))["hospitals"]
        return [warning for one in hospitals for warning in one["warnings"]]

    until(lambda: is_served(site.folder / "hospital-a"), WAIT_S)
    assert warnings() == []
    site.terminate("hospital-a")
    copy = site.folder / "copy-of-a"
    shutil.copytree(site.folder / "hospital-a", copy)
    for who in ("hospital-a", "copy-of-a"):
        site.start(who)
    until(warnings, WAIT_S)
    [warning] = warnings()
    assert "the audit log of hospital-a is not the one that it was" in warning
    for who in ("hospital-a", "copy-of-a"):
        until(
            lambda who=who: "a copy of this folder is also serving" in site.run("hospital", "status", "--state", who),
            WAIT_S,
        )
