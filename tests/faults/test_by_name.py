"""The failures that a federation of eight hospitals reported (MediSwarm), by number, and what happens to us instead.

F6, the link that is away for hours, is in ``test_link.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faults.mortal import SLOW_S, Fault
from processes import NAMES, WAIT_S, Site
from wardround_common.study.file import Study
from wardround_server.service.commanding import commanding

pytestmark = [pytest.mark.faults, pytest.mark.slow]
A, B, C = NAMES
TRAIN = "wardround_client.hospital.answering:train"
SHARED = "/dev/shm"  # noqa: S108  # nothing is put there


def begun(site: Site, name: str, fault: Fault | None = None, who: str = A, **sections: object) -> Study:
    study = site.study(name, **({"training": {"rounds": 2}} | sections))  # type: ignore[arg-type]
    site.approve_here(study)
    if fault:
        fault.write(site.folder, who)
    site.begin(study)
    return study


def test_F1_a_slow_site_is_not_declared_dead(site: Site) -> None:  # noqa: N802
    study = begun(site, "f1", Fault(TRAIN, "after", does="slow"))
    site.until((site.folder / f"{A}.met").exists)
    assert site.hospital_noted(A)["state"] == "working"
    assert site.hospital_noted(A)["doing"] == "f1: train"
    site.run("hospital", "health", "--state", A)
    standing = site.until_over("f1", WAIT_S + SLOW_S)
    assert standing["stage"] == "done"
    assert [record.answered for record in site.state(study).history] == [NAMES] * 2


def test_F2_a_gpu_that_vanishes_costs_its_hospital_one_round_and_not_its_place(site: Site) -> None:  # noqa: N802
    fault = Fault(TRAIN, "before", does="no-gpu")
    study = begun(site, "f2", fault, aggregation={"secure": True, "min_hospitals": 2})
    standing = site.until_over("f2")
    assert standing["stage"] == "incomplete"
    assert "hospital-a was missing in 1 of 2 rounds: 1 (failed: crashed)" in standing["said"]
    first, second = site.state(study).history
    assert [(absent.hospital, absent.kind) for absent in first.absent] == [(A, "crashed")]
    assert first.answered == (B, C)
    assert second.answered == NAMES
    assert A in site.connected()
    assert "train: RuntimeError: CUDA error" in site.run("hospital", "status", "--state", A)  # its own people read why
    assert "CUDA error" not in (site.folder / "C.log").read_text()
    assert site.charged(study)[A] == [1, 2]  # the round that failed was charged: never less than the truth


def test_F3_what_a_killed_process_left_keeps_nobody_out_and_healthy_means_registered(site: Site) -> None:  # noqa: N802
    site.until(lambda: A in site.connected())
    site.kill(A)
    assert (site.folder / A / "lock").exists()
    said = site.run("hospital", "health", "--state", A, code=8)
    assert "this hospital is stopped and not connected" in said
    site.until(lambda: A not in site.connected())  # it was heard half a minute ago
    site.start(A)
    site.until(lambda: A in site.connected())
    site.kill("C")
    site.until(lambda: site.hospital_noted(A)["state"] == "connecting")
    said = site.run("hospital", "health", "--state", A, code=8)
    assert "the coordinator cannot be reached" in said
    site.start("C")
    site.until(lambda: A in site.connected())
    site.run("hospital", "health", "--state", A)


def test_F4_a_cache_that_cannot_be_written_is_said_before_anything_is_approved_or_charged(  # noqa: N802
    site: Site,
) -> None:
    site.study("f4", data={"image_size": 28})  # nothing is prepared in this size
    site.run("coordinator", "run", "C", "f4.toml", "--detach")
    site.until(lambda: "f4" in site.run("hospital", "studies", "--state", A))
    site.extra = {"XDG_CACHE_HOME": "/proc/1/nowhere"}  # not even root can write there
    try:
        said = site.run("hospital", "approve", "f4", "--state", A, "--yes", code=7)
    finally:
        site.extra = {}
    assert "/proc/1/nowhere" in said
    assert "cannot be" in said
    site.run("coordinator", "stop", "C", "f4")
    site.until(lambda: site.status("f4")["stage"] == "stopped")


def test_F5_a_slow_sites_answer_counts_also_when_the_coordinator_was_started_again_meanwhile(  # noqa: N802
    site: Site,
) -> None:
    study = begun(site, "f5", Fault(TRAIN, "after", does="slow"))
    site.until((site.folder / f"{A}.met").exists)
    site.kill("C")
    site.start("C")
    assert site.until_over("f5")["stage"] == "done"
    assert site.each_charged(study, 2)


def test_F7_a_hospital_that_trains_uses_no_shared_memory_and_no_other_process(site: Site) -> None:  # noqa: N802
    begun(site, "f7", Fault(TRAIN, "after", does="slow"))
    site.until((site.folder / f"{A}.met").exists)
    process = Path("/proc") / str(site.running[A].pid)
    assert SHARED not in (process / "maps").read_text()
    opened = [str(link.readlink()) for link in (process / "fd").iterdir() if link.is_symlink()]
    assert opened
    assert not [name for name in opened if name.startswith(SHARED)]
    children = [(task / "children").read_text() for task in (process / "task").iterdir()]
    assert "".join(children) == ""
    assert site.until_over("f7")["stage"] == "done"


def test_F8_a_run_on_a_subset_is_no_success_and_names_who_was_missing_when(site: Site) -> None:  # noqa: N802
    fault = Fault(TRAIN, "before", does="no-gpu")
    begun(site, "f8", fault, who=C, aggregation={"secure": True, "min_hospitals": 2})
    assert site.until_over("f8")["stage"] == "incomplete"
    missing = "hospital-c was missing in 1 of 2 rounds: 1 (failed: crashed)"
    results = json.loads((site.folder / "C" / "runs" / "f8" / "results.json").read_text())
    assert missing in json.dumps(results["notes"])
    assert missing in (site.folder / "C" / "runs" / "f8" / "report.html").read_text()
    assert missing in site.run("coordinator", "status", "C")


def test_F8_too_few_are_a_failure_that_can_be_gone_on_with(site: Site) -> None:  # noqa: N802
    study = begun(site, "f8-few", Fault(TRAIN, "before", does="no-gpu"))
    standing = site.until_over("f8-few")
    assert standing["stage"] == "failed"
    assert "2 hospitals are heard in round 1 where the study needs 3; missing: hospital-a (crashed)" in standing["said"]
    with commanding(site.folder / "C") as coordinator:
        coordinator.resume("f8-few")
    assert site.until_over("f8-few")["stage"] == "done"
    assert site.each_charged(study, 2)


def test_F10_results_are_as_long_as_the_run_and_are_copied_out_whole(site: Site) -> None:  # noqa: N802
    begun(site, "f10")
    assert site.until_over("f10")["stage"] == "done"
    site.run("coordinator", "export", "C", "f10")
    results = json.loads((site.folder / "f10" / "results.json").read_text())
    assert [record["number"] for record in results["rounds"]] == [1, 2]
    assert all(record["validation_loss"] is not None for record in results["rounds"])
    for name in ("results.json", "report.html", "model.safetensors"):
        assert (site.folder / "f10" / name).stat().st_size > 500
