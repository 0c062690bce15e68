"""A disk that is full, at either end: it is said, nothing is lost, and it goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.mortal import Fault
from processes import NAMES, Site

pytestmark = pytest.mark.faults
A = NAMES[0]
DP = {"mechanism": "dp-sgd", "epsilon": 6.0, "delta": 1e-5, "clip_norm": 1.0}


def full(site: Site, who: str) -> Path:
    return site.folder / f"{who}.full"


def test_a_hospital_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(site: Site) -> None:
    study = site.study("full-hospital", training={"rounds": 2}, privacy=DP)
    site.approve_here(study)
    Fault("wardround_client.link.mailbox:Mailbox.put", "before", "train.train", does="fill-disk").write(site.folder, A)
    site.begin(study)
    site.until(full(site, A).exists)
    site.until(lambda: "the disk is full" in (site.folder / f"{A}.log").read_text())
    assert site.running[A].poll() is None
    full(site, A).unlink()
    assert site.until_over("full-hospital")["stage"] == "done"
    assert site.each_charged(study, 2)


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("charge", Fault("wardround_client.spending.account:Account.charge", "before", does="fill-disk")),
        (
            "upload",
            Fault("wardround_client.hospital.secure_desk:write_atomically", "before", "train.upload", does="fill-disk"),
        ),
        (
            "answer",
            Fault("wardround_client.link.mailbox:Mailbox.put", "before", "outbox train.train", does="fill-disk"),
        ),
    ],
)
def test_a_disk_that_fills_in_a_hospitals_round_neither_loses_nor_doubles_a_charge(
    site: Site, where: str, fault: Fault
) -> None:
    study = site.study(f"full-{where}", training={"rounds": 2}, privacy=DP)
    site.approve_here(study)
    fault.write(site.folder, A)
    site.begin(study)
    site.until(full(site, A).exists)
    site.until(lambda: "the disk is full" in (site.folder / f"{A}.log").read_text())
    full(site, A).unlink()
    standing = site.until_over(study.study.name)
    if standing["stage"] == "failed":
        assert f"{A} (disk-full)" in standing["said"]
        site.run("coordinator", "resume", "C", study.study.name, "--detach")
        standing = site.until_over(study.study.name)
    assert (standing["stage"], standing["round"]) == ("done", 2), standing
    assert site.each_charged(study, 2)


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        (
            "question",
            Fault("wardround_server.link.link_grid:LinkGrid._store", "before", "train.train", does="fill-disk"),
        ),
        ("note", Fault("wardround_server.rounds.secure_rounds:Rounds._write_note", "before", "", 2, does="fill-disk")),
        ("upload", Fault("wardround_server.link.fleet:Fleet._push_object", "before", "", 40, does="fill-disk")),
        ("checkpoint", Fault("wardround_server.service.runs:write_checkpoint", "before", does="fill-disk")),
        ("model", Fault("wardround_server.service.runs:write_model", "before", does="fill-disk")),
    ],
)
def test_a_coordinator_whose_disk_is_full_says_so_and_goes_on_from_its_last_round(
    site: Site, where: str, fault: Fault
) -> None:
    name = f"full-c-{where}"
    study = site.study(name, training={"rounds": 2})
    site.approve_here(study)
    log = site.folder / "C.log"
    said = len(log.read_text())
    fault.write(site.folder, "C")
    site.begin(study)
    site.until(full(site, "C").exists)
    site.until(lambda: "full" in log.read_text()[said:])
    assert "bug" not in log.read_text()[said:]
    full(site, "C").unlink()
    site.until(lambda: site.status(name)["stage"] in ("failed", "done"))
    if site.status(name)["stage"] == "failed":
        assert "the disk is full" in site.status(name)["said"]
        site.run("coordinator", "resume", "C", name, "--detach")
    standing = site.until_over(name)
    assert (standing["stage"], standing["round"]) == ("done", 2), standing
    assert site.each_charged(study, 2)
