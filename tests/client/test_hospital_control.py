"""How a hospital's own people ask its service at its socket, and what they learn when none is there."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from at_work import at_work, set_up
from link import until
from tiny_dicom import save, tiny
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.intake.kept_pixels import Room
from wardround_client.intake.readers import read_in_processes
from wardround_client.service import control
from wardround_client.service.asking import asking
from wardround_client.service.hospital_service import HospitalService
from wardround_client.service.stages import StudyStage
from wardround_client.service.status import HospitalStatus, Lasting, stopped_status
from wardround_common.control import control_pb2 as pb
from wardround_common.control.checking import check_health
from wardround_common.control.place import FOLDER, NAME, is_served
from wardround_common.errors import (
    FullDiskError,
    ImagesAwayError,
    LinkError,
    ServiceAwayError,
    StorageError,
    WardroundError,
)

THEN = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


def a_status() -> HospitalStatus:
    """Return a status in which every field has a value of its own."""
    studies = (
        StudyStage("lung ä", "d" * 64, "training", THEN, 3),
        StudyStage("other", "e" * 64, "approved", THEN + timedelta(days=1)),
    )
    lasting = Lasting("images", "train: failed", THEN + timedelta(hours=1), studies, ("one", "two"))
    return HospitalStatus("working", THEN, lasting, "lung: train", "a fault", "split", THEN + timedelta(days=9), "cpu")


def test_what_a_hospital_says_survives_its_message() -> None:
    status = a_status()
    empty = replace(status, lasting=Lasting(), doing="", fault="", split="", certificate_until=None, device="")
    assert all(getattr(status, one.name) != getattr(empty, one.name) for one in fields(status)[2:])
    for said in (status, empty):
        message = control.status_message(said).SerializeToString()
        assert control.status_seen(pb.HospitalStatus.FromString(message)) == said
    with pytest.raises(ValueError, match="since"):
        control.status_seen(pb.HospitalStatus(state="waiting"))


def test_only_the_user_that_serves_can_reach_a_hospitals_socket(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with at_work(tmp_path, "waiting") as service, asking(tmp_path) as hospital:
            assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700
            assert stat.S_IMODE((tmp_path / FOLDER / NAME).stat().st_mode) == 0o600
            assert hospital.status() == service.status()
    finally:
        os.umask(before)


def test_a_second_service_of_one_folder_is_refused_and_leaves_the_first_its_socket(tmp_path: Path) -> None:
    with at_work(tmp_path, "waiting"):
        with pytest.raises(StorageError, match="another process is using this folder"), at_work(tmp_path):
            pass
        assert is_served(tmp_path)


def test_who_watches_a_hospital_sees_what_changes_until_the_service_ends(tmp_path: Path) -> None:
    with at_work(tmp_path, "waiting"), asking(tmp_path) as hospital:
        watching = hospital.watch(0.1)
        assert next(watching).lasting.paused is None
        with asking(tmp_path) as another:
            assert another.pause().shown[0] == "paused"
        assert any(seen.shown[0] == "paused" for seen in (next(watching) for _ in range(3)))
    with pytest.raises((ServiceAwayError, WardroundError)):
        list(watching)


@pytest.mark.parametrize(
    ("state", "fault", "kind", "code", "said"),
    [
        ("connecting", LinkError("the coordinator cannot be reached", do="Ask."), LinkError, 8, "cannot be reached"),
        ("working", FullDiskError("the disk is full", where="/state", do="Make room."), FullDiskError, 7, "is full"),
        ("waiting", None, ImagesAwayError, 4, "Is its disk mounted?"),
    ],
    ids=["coordinator away", "disk full", "images away"],
)
def test_health_says_what_is_in_the_way_and_exits_with_its_code(
    tmp_path: Path, state: str, fault: WardroundError | None, kind: type[WardroundError], code: int, said: str
) -> None:
    with at_work(tmp_path, state, fault) as service:
        if kind is ImagesAwayError:
            (tmp_path / "images" / "one.dcm").unlink()
        until(lambda: service._health.is_current and service._health.troubles())
        with pytest.raises(kind) as caught:
            check_health(tmp_path, "hospital")
        done = CliRunner().invoke(app, ["health", "--state", str(tmp_path)])
    assert isinstance(done.exception, kind)
    assert caught.value.exit_code == code
    assert said in str(caught.value)


def test_a_hospital_that_is_stopped_says_since_when_and_what_outlasts_its_service(tmp_path: Path) -> None:
    folder = set_up(tmp_path)
    assert stopped_status(folder).state == "stopped"
    log = hospital_log(folder)
    log.note("service began")
    began = datetime.now(UTC)
    assert CliRunner().invoke(app, ["pause", "--state", str(tmp_path)]).exit_code == 0
    (tmp_path / "failure.txt").write_text("2026-11-28 12:00:00 train: it failed\n")
    log.note("service ended")
    found = stopped_status(folder)
    assert found.since
    assert found.since >= began.replace(microsecond=0)
    said = CliRunner().invoke(app, ["status", "--state", str(tmp_path)]).stdout
    assert said.startswith(f"stopped since {found.since:%Y-%m-%d %H:%M:%S} UTC\n")
    assert f"paused since {found.lasting.paused:%Y-%m-%d %H:%M:%S} UTC: no new work" in said
    assert "train: it failed" in said


def test_watching_by_command_ends_when_the_service_does_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, status = [], HospitalService.status

    def noted(service: HospitalService) -> HospitalStatus:
        asked.append(service)
        return status(service)

    monkeypatch.setattr(HospitalService, "status", noted)
    with ThreadPoolExecutor(1) as pool:
        with at_work(tmp_path, "waiting"):
            watching = pool.submit(CliRunner().invoke, app, ["status", "--state", str(tmp_path), "--watch"])
            until(lambda: len(asked) > 1)  # the second time by the watching
            assert not watching.done()
        done = watching.result(20)
    assert isinstance(done.exception, ServiceAwayError)
    assert "waiting since" in done.stdout


@pytest.mark.slow
def test_images_are_read_in_other_processes_while_the_socket_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """gRPC's threads and a fork do not go together: what reads images is started again instead."""
    images = tmp_path / "images"
    images.mkdir()
    save(tiny(), images / "one.dcm")
    with at_work(tmp_path / "A", "waiting"), asking(tmp_path / "A") as hospital:
        read = list(read_in_processes(images, ["one.dcm"], workers=1, kept_in=tmp_path / "kept", room=Room(0)))
        assert hospital.status().state == "waiting"
    assert [name for name, _ in read] == ["one.dcm"]
    assert capfd.readouterr().err == ""
