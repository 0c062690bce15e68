"""What a hospital's pages show, and that what they do is what the commands do, in the same audit log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from at_work import at_work, set_up
from browsing import browsing, words
from consortium import identity
from examples import STUDY
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.page.hospital_page import hospital_pages
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_client.state.state_folder import default_state
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import lines
from wardround_common.pages import audit_room
from wardround_common.pages.port import PagePort
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

NAME, SCRIPT = "lung", "<script>alert(1)</script>"


def propose(folder: HospitalFolder, name: str, *, rounds: int = 3) -> Study:
    tables = {key: dict(table) for key, table in STUDY.items()}
    tables["study"]["name"] = name
    tables["training"]["rounds"] = rounds
    tables["task"]["classes"] = ["none", SCRIPT]
    listed = [Listed.of("mercy", folder.identity().public), Listed.of("other", identity("other").public)]
    tables["roster"] = [one.model_dump() for one in listed]  # type: ignore[assignment]
    study = Study.model_validate(tables)
    Approvals(folder.path / "studies").propose(study)
    return study


def noted(folder: HospitalFolder) -> list[str]:
    return [read_line(line).what for line in lines(folder.audit)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalFolder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made = set_up(tmp_path_factory.mktemp("state"))
        yield made


@pytest.fixture(scope="module")
def pages(folder: HospitalFolder) -> Iterator[PagePort]:
    with hospital_pages(folder, 0, lambda text, **facts: None) as shown:
        yield shown


def test_pages_say_what_the_service_does_and_what_studies_do_in_the_commands_words(
    folder: HospitalFolder, pages: PagePort
) -> None:
    study = propose(folder, NAME)
    browser = browsing(pages)
    assert f"wardround hospital gallery --state {folder.path.resolve()} [MODEL]" in words(browser.get("/gallery"))
    with at_work(folder.path, "waiting"):
        now = words(browser.get())
        assert "The service is waiting since" in now
        assert f"Waiting for your decision 1 study {NAME}" in now
        assert "has not joined a coordinator yet" in now
        assert NAME in words(browser.get("/studies"))
        said = words(browser.get(f"/studies/{study.digest()}"))
        assert SCRIPT in said
        assert SCRIPT not in browser.page.text
        command = CliRunner().invoke(app, ["approve", study.digest(), "--state", str(folder.path)])
        printed = [line.removeprefix("  · ") for line in command.output.splitlines() if line.startswith("  · ")]
        assert len(printed) > 5
        for sentence in printed:
            assert " ".join(sentence.split())[:60] in said
        assert f"mercy {Listed.of('mercy', folder.identity().public).fingerprint} ours" in said
        assert "There is no ledger yet" in words(browser.get("/budget"))
        assert browser.get("/studies/" + 64 * "0").status == 404
        assert browser.get("/studies/..%2F..%2Fidentity.pem").status == 404


def test_what_is_decided_on_a_page_stands_in_the_audit_log_as_the_commands_decision_does(
    folder: HospitalFolder, pages: PagePort
) -> None:
    browser = browsing(pages)
    with at_work(folder.path, "waiting"):
        browser.get("/pause")
        assert not paused_since(folder.path), "the question changes nothing"
        assert "Paused: no new work is started." in words(browser.press("/pause"))
        assert "The service is paused" in words(browser.page)
        assert "paused" in words(browser.get("/audit"))
    assert "The service is stopped" in words(browser.get()), "and without a service as the commands do"
    assert noted(folder)[-1] == "paused"


def test_nothing_is_approved_that_was_not_read_on_these_pages(folder: HospitalFolder, pages: PagePort) -> None:
    study = propose(folder, "not-read")
    browser = browsing(pages)
    assert "images read first" in words(browser.get(f"/studies/{study.digest()}/approve"))
    secret = browser.page.text.split('name="_form" value="')[1].split('"')[0]
    browser.post(f"/studies/{study.digest()}/approve", {"_form": secret, "read": 64 * "0", "compared": "yes"})
    assert "images read first" in words(browser.page)
    assert Approvals(folder.path / "studies").get(study.digest()).decision == "waiting"


def test_pages_for_reading_only_have_no_form_but_to_sign_out(folder: HospitalFolder) -> None:
    study = propose(folder, "read-only")
    with hospital_pages(folder, 0, lambda text, **facts: None, read_only=True) as pages:
        browser = browsing(pages)
        for path in ("/", "/studies", f"/studies/{study.digest()}", "/identity", "/audit", "/budget", "/images"):
            page = browser.get(path)
            assert page.status == 200
            assert page.text.count("<form") == 1, path
        assert browser.get(f"/studies/{study.digest()}/refuse").status == 404


def test_the_audit_log_is_shown_in_pages_from_its_end(
    folder: HospitalFolder, pages: PagePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 2
    monkeypatch.setattr(audit_room, "ENTRIES", most)
    log = hospital_log(folder)
    for _ in range(most + 1):
        log.note("service ended")
    last = len(noted(folder))
    browser = browsing(pages)
    browser.get("/audit")
    assert browser.page.text.count("<tr>") == 1 + most
    assert f'<td class="count">{last}</td>' in browser.page.text
    older = browser.page.text.split("before=")[1].split('"')[0]
    browser.get(f"/audit?before={older}")
    assert f'<td class="count">{int(older) - 1}</td>' in browser.page.text
    assert browser.get("/audit?before=..").status == 200


def test_a_scans_page_is_shown_without_rights_and_no_other_file_of_its_folder(
    folder: HospitalFolder, pages: PagePort
) -> None:
    place = default_state(folder.settings().data)
    place.mkdir(parents=True)
    (place / "scan-report.html").write_text("<p>thumbnails</p><script>alert(1)</script>")
    (place / "secret").write_text("secret")
    browser = browsing(pages)
    assert "The scan of the images" in words(browser.get("/images"))
    page = browser.get("/images/scan")
    assert "thumbnails" in page.text
    assert page.headers["content-security-policy"].startswith("sandbox;")
    for path in ("outlines", "secret", "..%2Fsecret", "scan%2F..%2Fsecret"):
        assert browser.get(f"/images/{path}").status == 404


def test_a_service_gives_out_its_pages_address_to_its_own_people_alone(folder: HospitalFolder) -> None:
    with at_work(folder.path, "waiting"):
        done = CliRunner().invoke(app, ["page", "--state", str(folder.path)])
    assert "this service shows no pages" in str(done.exception)
