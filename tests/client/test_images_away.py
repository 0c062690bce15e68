"""A disk that is not mounted: the hospital says so, begins nothing, forgets nothing, and goes on when it is back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_contribution import approve, folder, propose  # noqa: F401  # the second is a fixture
from typer.testing import CliRunner

from at_work import at_work
from link import until
from wardround_client.commands.hospital_cli import app
from wardround_client.intake.images_there import check_images_there
from wardround_client.service.ward import Ward
from wardround_client.spending.ledger.store import existing_ledger
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import DataError, ImagesAwayError
from wardround_common.messages.rounds import PrepareRequest


@pytest.fixture
def images(folder: HospitalFolder) -> Path:  # noqa: F811
    return folder.settings().data


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_hospital_that_starts_without_its_images_says_so_and_goes_on_when_they_are_back(
    folder: HospitalFolder,  # noqa: F811
    images: Path,
    left: str,
) -> None:
    study = propose(folder, "first")
    assert "Approved" in approve(folder, "first")
    question = PrepareRequest(study.digest(), False).parts()
    before = Ward(folder).answer("prepare", question).parts().fields
    elsewhere = images.with_name("not mounted")
    images.rename(elsewhere)
    if left == "an empty folder":
        images.mkdir()
    ward = Ward(folder)  # the service started again
    assert not ward.images_are_away()
    for _ in range(2):
        with pytest.raises(ImagesAwayError, match=r"cannot be reached|is empty"):
            ward.answer("prepare", question)
        assert ward.images_are_away()
    shutil.rmtree(images, ignore_errors=True)
    elsewhere.rename(images)
    assert not ward.images_are_away()
    assert ward.answer("prepare", question).parts().fields == before
    assert len(existing_ledger(folder.path, folder.identity()).books.approved) == 1


def test_a_table_of_labels_that_is_away_and_a_disk_that_fails_are_images_away(
    folder: HospitalFolder,  # noqa: F811
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = folder.settings()
    check_images_there(settings)
    with pytest.raises(ImagesAwayError, match="the table of labels is not there"):
        check_images_there(settings.model_copy(update={"labels": images / "none.csv"}))

    def stale(path: Path) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("wardround_client.intake.images_there.os.scandir", stale)
    with pytest.raises(ImagesAwayError, match="Stale file handle"):
        check_images_there(settings)
    assert issubclass(ImagesAwayError, DataError)


def test_a_health_check_says_that_the_images_are_away(folder: HospitalFolder, images: Path) -> None:  # noqa: F811
    asked = ["health", "--state", str(folder.path)]
    with at_work(folder.path, "waiting"):
        until(lambda: CliRunner().invoke(app, asked).exit_code == 0)
        images.rename(images.with_name("not mounted"))
        until(lambda: CliRunner().invoke(app, asked).exit_code != 0)  # it looks every second
        done = CliRunner().invoke(app, asked)
        assert "the images cannot be reached" in str(done.exception)
        assert isinstance(done.exception, ImagesAwayError)
        shown = json.loads(CliRunner().invoke(app, ["status", "--state", str(folder.path), "--json"]).stdout)
        assert "mounted" in shown["images_away"]
