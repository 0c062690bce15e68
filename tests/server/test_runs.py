"""Runs of a coordinator that serves: several at once, stopped, resumed, taken up again after the process ended."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from wardround_common.errors import RoundError, StorageError, StudyError
from wardround_server.rounds import approval
from wardround_server.service.runs import Runs, Standings
from wards import Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)


def begin(tmp_path: Path, wards: Wards | None = None, told: list[Standings] | None = None) -> Runs:
    exchange = wards or Wards(tmp_path / "wards")
    return Runs(tmp_path / "runs", lambda name: exchange, (told if told is not None else []).append)


def test_a_run_goes_from_approval_to_model_and_report(tmp_path: Path) -> None:
    told: list[Standings] = []
    runs = begin(tmp_path, told=told)
    assert runs.begin(rostered()).stage == "approval"
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round, standing.said) == ("done", 2, "")
    stages = list(dict.fromkeys(one.stage for one in told))
    assert stages == ["approval", "preparing", "training", "testing", "done"]
    assert {"model.safetensors", "report.html", "results.json"} <= {p.name for p in (tmp_path / "runs/test").iterdir()}


@pytest.mark.slow
def test_two_studies_run_at_once(tmp_path: Path) -> None:
    runs = begin(tmp_path)
    for name in ("one", "two"):
        runs.begin(rostered(name))
    runs.wait()
    assert [(standing.name, standing.stage) for standing in runs.standings()] == [("one", "done"), ("two", "done")]


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_when_the_next_process_starts(tmp_path: Path) -> None:
    whole = begin(tmp_path / "whole")
    whole.begin(rostered(rounds=3))
    whole.wait()
    wards = Wards(tmp_path / "cut" / "wards")
    runs = begin(tmp_path / "cut", wards)

    class PowerCut(BaseException):
        pass

    def cut(name: str, kind: str) -> bool:
        done = runs.standings()[0].round
        if done == 2 and kind == "train":
            raise PowerCut
        return False

    wards.fail = cut
    threading.excepthook, before = (lambda args: None), threading.excepthook
    try:
        runs.begin(rostered(rounds=3))
        runs.wait()
    finally:
        threading.excepthook = before
    restarted = Wards(tmp_path / "cut" / "wards")
    restarted._studies = wards._studies  # what they approved is on their disks, and they are not asked again
    again = begin(tmp_path / "cut", restarted)
    half = [tmp_path / "cut/runs/test" / name for name in (".checkpoint.0a1b2c3d", "secure/.train.1a1b2c3d")]
    for left in half:  # by a kill in the middle of a write
        left.write_bytes(b"half")
    again.go_on()
    again.wait()
    assert [left for left in half if left.exists()] == []
    assert [(standing.stage, standing.round) for standing in again.standings()] == [("done", 3)]
    model = Path("runs/test/model.safetensors")
    assert (tmp_path / "cut" / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


def test_a_run_that_was_stopped_keeps_its_rounds_and_is_gone_on_with(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    runs = begin(tmp_path, wards)

    def stop(name: str, kind: str) -> bool:
        if kind == "train" and runs.standings()[0].round == 0:
            runs.stop("test")
        return False

    wards.fail = stop
    runs.begin(rostered())
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("stopped", 1)
    assert "stopped after round 1" in standing.said
    runs.resume("test")
    runs.wait()
    assert runs.standings()[0].stage == "done"
    with pytest.raises(RoundError, match="is done: there is nothing to resume"):
        runs.resume("test")
    with pytest.raises(RoundError, match="is done and cannot be stopped"):
        runs.stop("test")


def test_a_name_that_is_taken_and_a_run_that_failed_say_the_whole_command_that_resumes_it(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: kind == "train"
    runs = begin(tmp_path, wards)
    runs.begin(rostered())
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "failed"
    assert f"Resume with: wardround coordinator resume {tmp_path} test" in standing.said
    with pytest.raises(StorageError, match=f"wardround coordinator resume {tmp_path} test"):
        runs.begin(rostered())


def failed_run(tmp_path: Path) -> Runs:
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: kind == "train"
    runs = begin(tmp_path, wards)
    runs.begin(rostered())
    runs.wait()
    wards.fail, wards.folder = lambda name, kind: False, tmp_path / "desks of another study"
    return runs


def test_a_run_that_is_archived_frees_its_name_and_loses_nothing(tmp_path: Path) -> None:
    runs = failed_run(tmp_path)
    with pytest.raises(StorageError, match=f"To free its name .*wardround coordinator archive {tmp_path} test"):
        runs.begin(rostered())
    before = sorted(path.name for path in (tmp_path / "runs" / "test").iterdir())
    place = runs.archive("test")
    assert place == tmp_path / "archive" / f"test-{rostered().digest()[:12]}"
    assert sorted(path.name for path in place.iterdir()) == before
    assert runs.standings() == []
    runs.begin(rostered(rounds=1))
    runs.wait()
    assert runs.standings()[0].stage == "done"
    again = begin(tmp_path)
    again.go_on()
    assert [standing.stage for standing in again.standings()] == ["done"]
    ended = {rostered().digest(): "failed", rostered(rounds=1).digest(): "done"}
    assert runs.stages_of("a") == again.stages_of("a") == ended  # a hospital may not have heard it yet


def test_a_run_that_is_removed_is_gone(tmp_path: Path) -> None:
    runs = failed_run(tmp_path)
    assert runs.remove("test").stage == "failed"
    assert runs.standings() == []
    assert list((tmp_path / "runs").iterdir()) == []
    assert list((tmp_path / "archive").iterdir()) == []
    with pytest.raises(StorageError, match="there is no run 'test'"):
        runs.remove("test")


@pytest.mark.slow
def test_a_run_that_goes_on_is_neither_archived_nor_removed(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    runs, refused = begin(tmp_path, wards), []

    def meanwhile(name: str, kind: str) -> bool:
        if not refused:
            for act in (runs.archive, runs.remove):
                with pytest.raises(RoundError, match="is not over") as error:
                    act("test")
                refused.append(error.value.do)
        return False

    wards.fail = meanwhile
    runs.begin(rostered())
    runs.wait()
    assert refused == [f"Stop it first: wardround coordinator stop {tmp_path} test"] * 2
    assert runs.standings()[0].stage == "done"
    assert runs.stages_of("a") == {rostered().digest(): "done"}
    assert runs.stages_of("z") == {}


def test_a_run_on_a_silent_subset_is_no_success_and_says_who_was_missing_when(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: name == "b" and kind in ("train", "evaluate")
    runs = begin(tmp_path, wards)
    runs.begin(rostered())
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "incomplete"
    assert standing.said.split("; ")[0] == "b was missing in 2 of 2 rounds: 1-2 (failed: crashed)"


def test_a_run_with_too_few_hospitals_fails_with_the_reason_and_can_be_resumed(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: name != "a" and kind == "train"
    runs = begin(tmp_path, wards)
    runs.begin(rostered())
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "failed"
    assert "b (crashed)" in standing.said
    wards.fail = lambda name, kind: False
    runs.resume("test")
    runs.wait()
    assert runs.standings()[0].stage == "done"


def test_a_bug_in_a_run_is_seen_as_one_and_leaves_the_other_runs_alone(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")

    def broken(name: str, kind: str) -> bool:
        if threading.current_thread().name == "run one" and kind == "train":
            raise ZeroDivisionError
        return False

    wards.fail = broken
    runs = begin(tmp_path, wards)
    for name in ("one", "two"):
        runs.begin(rostered(name, rounds=1))
    runs.wait()
    assert [standing.stage for standing in runs.standings()] == ["failed", "done"]
    assert "a bug in Wardround" in runs.standings()[0].said


def test_a_run_begins_with_so_many_as_it_was_told_and_never_with_fewer_than_the_study_needs(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: name == "c"
    runs = begin(tmp_path, wards)
    runs.begin(rostered(rounds=1), least=2)
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "done"
    assert set(standing.hospitals) == {"a", "b"}
    for least in (1, 4):
        with pytest.raises(StudyError, match=f"cannot begin with {least} hospitals"):
            runs.begin(rostered("other"), least=least)


def test_a_draft_and_a_name_that_is_taken_are_refused(tmp_path: Path) -> None:
    runs = begin(tmp_path)
    draft = rostered().model_copy(update={"roster": ()})
    with pytest.raises(StudyError, match="a draft"):
        runs.begin(draft)
    runs.begin(rostered())
    with pytest.raises(StorageError, match="already a run called 'test'"):
        runs.begin(rostered(rounds=5))
    with pytest.raises(StorageError, match="there is no run 'other'"):
        runs.stop("other")
    runs.wait()


@pytest.mark.parametrize("file", ["run.json", pytest.param("study", marks=pytest.mark.slow)])
def test_a_damaged_run_is_named_and_the_others_go_on(tmp_path: Path, file: str) -> None:
    runs = begin(tmp_path)
    for name in ("one", "two"):
        runs.begin(rostered(name))
    runs.wait()
    (tmp_path / "runs" / "one" / file).write_text("{")
    again = begin(tmp_path)
    again.go_on()
    assert [standing.name for standing in again.standings()] == ["two"]
    [(name, error)] = again.damaged().items()
    assert (name, error.what) == ("one", "what was kept of a run is damaged")
    for act in (again.stop, again.resume, lambda name: again.begin(rostered(name))):
        with pytest.raises(StorageError, match="what was kept of a run is damaged"):  # nothing is guessed or lost
            act("one")
    again.begin(rostered("three"))
    again.wait()
    assert {standing.name: standing.stage for standing in again.standings()} == {"two": "done", "three": "done"}


def test_a_hospital_that_pauses_is_left_out_at_once_and_takes_part_again_when_it_goes_on(tmp_path: Path) -> None:
    wards, paused, told = Wards(tmp_path / "wards"), dict[str, str](), list[Standings]()
    asked: list[tuple[str, str, int]] = []

    def note(name: str, kind: str) -> bool:
        asked.append((name, kind, told[-1].round))
        return False

    def watch(standing: Standings) -> None:
        told.append(standing)
        if standing.stage == "training":
            paused.clear()
            if standing.round == 1:
                paused["c"] = "paused"

    wards.fail = note
    runs = Runs(tmp_path / "runs", lambda name: wards, watch, lambda: paused)
    runs.begin(rostered(rounds=3, secure=False, min_hospitals=2))
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.said) == ("incomplete", "c was missing in 1 of 3 rounds: 2 (paused)")
    assert [after for name, kind, after in asked if (name, kind) == ("c", "train")] == [0, 2]
    assert [after for name, kind, after in asked if (name, kind) == ("a", "train")] == [0, 1, 2]
    assert {"a": "asked", "b": "asked", "c": "paused"} in [one.hospitals for one in told]


def test_a_run_that_is_begun_while_the_service_starts_is_driven_once(tmp_path: Path) -> None:
    told: list[Standings] = []
    runs = begin(tmp_path, told=told)
    runs.begin(rostered())
    runs.go_on()
    runs.wait()
    assert [one.stage for one in told].count("done") == 1


def test_what_a_run_is_writing_is_not_taken_for_what_a_kill_left(tmp_path: Path) -> None:
    runs = begin(tmp_path)
    runs.begin(rostered())
    runs.wait()
    written = next(tmp_path.rglob("run.json")).with_name(".run.json.0123abcd")
    written.touch()
    runs.go_on()
    assert written.exists()
    begin(tmp_path).go_on()  # of a process that is over
    assert not written.exists()
