"""What a coordinator's pages show of its hospitals and runs, how much at once, and that they act by the commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from browsing import Browser, browsing, words
from commanded import THEN, Here, a_standing, a_status, commanded
from consortium import secure_study
from wardround_common.messages.parameters import Layout
from wardround_common.pages.port import PagePort
from wardround_common.results import RoundRecord
from wardround_common.results.record import Absence, Headline
from wardround_common.shell.study_cli import app as study_app
from wardround_common.study.file import parse_study
from wardround_server.commands.coordinator_cli import app
from wardround_server.page.coordinator_page import coordinator_pages
from wardround_server.page.curves import MOST_POINTS, curve, curves
from wardround_server.page.rounds_shown import RoundsShown
from wardround_server.page.study_form import fields
from wardround_server.rounds.checkpoint import read_history, write_checkpoint
from wardround_server.rounds.course import State
from wardround_server.service.enrolment_desk import begin
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import CoordinatorStatus, HospitalSeen, RunSeen

ROUNDS, HOSPITALS = 1000, [f"hospital-{number}" for number in range(50)]


def a_round(number: int) -> RoundRecord:
    return RoundRecord(
        number=number,
        seconds=1.5,
        bytes_to_hospitals=1,
        bytes_from_hospitals=1,
        training_loss=1 / number,
        validation_loss=None if number == 7 else 2 / number,
        headline=Headline(metric="AUROC", value=0.5),
        answered=tuple(HOSPITALS[1:]),
        absent=(Absence(hospital=HOSPITALS[0], kind="silent"),),
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("coordinator")
    begin(CoordinatorFolder(folder), ["127.0.0.1"], 9093, datetime.now(UTC))
    with commanded(folder) as made:
        yield made


@pytest.fixture(scope="module")
def pages(here: Here) -> Iterator[PagePort]:
    said: list[str] = []
    with coordinator_pages(CoordinatorFolder(here.folder), 0, lambda text, **facts: said.append(text)) as shown:
        yield shown
    assert said
    assert "token" not in " ".join(said), "a log gets no address"


@pytest.fixture
def browser(pages: PagePort) -> Browser:
    return browsing(pages)


def test_pages_say_which_hospitals_were_heard_and_for_whom_a_run_waits(here: Here, browser: Browser) -> None:
    now = words(browser.get())
    assert "Hospitals connected 1 of 2" in now
    assert "lung" in now
    assert "st-mary asked, mercy away" in now
    assert "one" in now, "what hospitals are warned of"
    run = words(browser.get("/runs/lung"))
    assert "st-mary training 3 2026-11-28 12:00 UTC" in run
    assert browser.get("/runs/none").status == 404
    assert browser.get("/runs/..%2F..%2Fcoordinator.toml").status == 404
    assert browser.get("/runs/lung/report").status == 404


def test_a_thousand_rounds_of_fifty_hospitals_are_shown_in_parts(here: Here, browser: Browser) -> None:
    (place := here.folder / "runs" / "lung").mkdir(parents=True, exist_ok=True)
    layout = Layout(("w",), ((2,),))
    history = tuple(a_round(number) for number in range(1, ROUNDS + 1))
    state = State(layout, np.zeros(2, np.float32), None, history)
    write_checkpoint(place / "checkpoint", secure_study(), state)
    (place / "study").write_bytes(secure_study().canonical())
    seen = tuple(
        HospitalSeen(name=one, state="waiting", connected=True, last_heard=THEN, paused=False, images_away=False)
        for one in HOSPITALS * 3
    )
    runs = tuple(RunSeen(**dict(a_standing("lung" if k == 0 else f"r-{k}")), doing={}) for k in range(120))
    here.commanded.says = lambda: CoordinatorStatus(time=1.0, hospitals=seen, runs=runs)
    try:
        page = browser.get("/runs/lung")
        assert "1,000 rounds, page 1 of 40" in words(page)
        assert page.text.count("<polyline") == 5, "four figures, of which one has a gap"
        assert "AUROC, validation, by round" in words(page)
        assert len(page.text) < 60_000
        assert "page 1 of 3" in words(browser.get("/hospitals"))
        assert "page 3 of 3" in words(browser.get("/runs?page=3"))
        assert len(browser.get().text) < 60_000
    finally:
        here.commanded.says = a_status


def test_of_a_long_history_only_what_is_new_is_parsed(tmp_path: Path) -> None:
    history = [a_round(number) for number in range(1, 101)]
    place, shown = tmp_path / "checkpoint", RoundsShown(tmp_path / "checkpoint")

    def written() -> tuple[RoundRecord, ...]:
        state = State(Layout(("w",), ((2,),)), np.zeros(2, np.float32), None, tuple(history))
        write_checkpoint(place, secure_study(), state)
        assert shown.read() == tuple(history) == read_history(place)
        return shown.read()

    assert shown.read() == ()
    assert written() is shown.read()
    assert shown.parsed == 100
    history.append(a_round(101).model_copy(update={"refused": 'a "quote], and a \\ backslash'}))
    written()
    history.append(a_round(102))
    written()
    assert shown.parsed == 102
    history[:] = history[:50]  # it was resumed from an earlier one
    written()
    assert shown.parsed == 152
    history.clear()
    written()
    place.write_bytes(b"no checkpoint")
    assert shown.read() == ()


def test_curves_are_bounded_say_what_they_show_and_break_where_there_is_nothing() -> None:
    found = curve("Loss", [(number, float(number)) for number in range(1, 10_001)])
    assert found
    assert found.said == "Loss: 1 in round 1, 1e+04 in round 10000; lowest 1 in round 1, highest 1e+04 in round 10000"
    assert len(found.pieces[0].split()) <= MOST_POINTS + 1
    broken = curve("Loss", [(1, 0.5), (2, None), (3, 0.5), (4, 0.25)])
    assert broken
    assert (len(broken.pieces), len(broken.dots)) == (1, 1)
    assert curve("Loss", [(1, None)]) is None
    assert curves([], "AUROC") == []


def test_a_run_is_stopped_by_the_command_after_a_question(here: Here, browser: Browser) -> None:
    browser.get("/runs/lung/ask/stop")
    assert ("stop", "lung") not in here.commanded.asked
    assert "It stops after its current round." in words(browser.press("/runs/lung/stop"))
    assert ("stop", "lung") in here.commanded.asked
    browser.get("/runs/lung/ask/stop")
    browser.page.text = browser.page.text.replace("/runs/lung/stop", "/runs/lung/unknown")
    assert browser.press("/runs/lung/unknown").status == 404


def test_a_wrong_study_or_request_is_said_and_nothing_begins(here: Here, browser: Browser) -> None:
    for room, wrong in (("/runs", "[study]\nname = '<script>'"), ("/hospitals", "<script>alert(1)</script>")):
        browser.get(room)
        page = browser.press(f"{room}/look", text=wrong)
        assert page.status == 200
        assert 'role="alert"' in page.text
        assert "<script>alert" not in page.text
    assert not any(asked[0] == "run" for asked in here.commanded.asked)


def filled(**given: str) -> dict[str, str]:
    return {one.name: "" for one in fields()} | {name.replace("_", "-", 1): value for name, value in given.items()}


def test_the_form_writes_the_file_that_study_new_writes_and_shows_it_before_it_is_proposed(
    here: Here, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words_typed = ["new", "lungs", "--classes", "normal,finding", "--modalities", "CR,DX", "--hospitals", "4"]
    for more, mode in ((["--no-dp"], "none"), ([], "local"), (["--distributed"], "distributed")):
        done = CliRunner().invoke(study_app, [*words_typed, *more, "--out", f"{mode}.toml"])
        assert done.exit_code == 0, done.exception
        browser.get("/new")
        sent = filled(
            study_name="lungs",
            task_name="classification",
            task_classes="normal, finding",
            data_modalities="CR,DX",
            aggregation_min_hospitals="4",
            privacy_mode=mode,
        )
        page = browser.press("/new", **sent)
        assert page.status == 200
        written = (tmp_path / f"{mode}.toml").read_text()
        assert unescape(page.text.split('class="code">')[1].split("</textarea>")[0]).rstrip() == written.rstrip()
        assert parse_study(written).digest() in page.text
        assert "an example's" not in unescape(page.text)
        saved = browser.press("/runs/save")
        assert saved.headers["content-disposition"].endswith("lungs.toml")
        assert saved.text.rstrip() == written.rstrip()
    assert not any(asked[0] == "run" for asked in here.commanded.asked)


def test_what_no_field_of_the_form_sets_is_said_to_be_an_example(browser: Browser) -> None:
    browser.get("/new")
    page = browser.press("/new", **filled(study_name="age", task_name="measurement", data_modalities="CR"))
    assert "The study still has an example's quantity: look whether" in unescape(page.text)


def test_each_fault_of_the_form_stands_beside_its_field_and_what_was_typed_stays(browser: Browser) -> None:
    browser.get("/new")
    sent = filled(
        study_name="<script>alert(1)</script>",
        task_name="measurement",
        task_classes="a",
        training_rounds="-1",
        training_learning_rate="fast",
        roster_names="nobody-here",
    )
    page = browser.press("/new", **sent)
    assert page.status == 422
    assert "<script>alert" not in page.text
    for name, said in (
        ("study-name", "a study cannot be called"),
        ("task-classes", "has no classes"),
        ("roster-names", "no hospital is enrolled as"),
        ("training-rounds", "it must be at least 1"),
    ):
        assert said in unescape(page.text.split(f'id="{name}-fault">')[1].split("</p>")[0])
    page = browser.press("/new", **(sent | {"study-name": "good", "roster-names": "", "task-classes": ""}))
    for name, said in (("training-rounds", "it must be at least 1"), ("training-learning_rate", "it must be a number")):
        assert said in page.text.split(f'id="{name}-fault">')[1].split("</p>")[0]
    assert 'value="fast"' in page.text
    assert page.text.count('aria-invalid="true"') == 2
    assert browser.post("/new", sent).status == 403, "without the session's secret"


def test_a_coordinators_page_command_says_that_nothing_is_shown(here: Here) -> None:
    done = CliRunner().invoke(app, ["page", str(here.folder)])
    assert "this service shows no pages" in str(done.exception)
