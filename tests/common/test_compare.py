"""Runs side by side: what differs is shown, what cannot be compared is refused with the reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from markupsafe import escape

from wardround_common.errors import StorageError, StudyError
from wardround_common.results import Results
from wardround_common.results.comparison import compare, side_by_side
from wardround_common.shell import cli
from wardround_common.study.start import Start, Trained
from wardround_server.report.example import example
from wardround_server.report.story import verdict


@pytest.fixture(scope="module")
def private() -> Results:
    return example(hospitals=2, baselines=False)


@pytest.fixture(scope="module")
def open_to_all() -> Results:
    return example(private=False, hospitals=2, baselines=False)


def keep(folder: Path, results: Results) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(results.to_json())
    return folder


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_what_differs_is_listed_and_what_is_the_same_is_not(private: Results, open_to_all: Results) -> None:
    found = side_by_side([("a", private), ("b", open_to_all)])
    assert found.differ["privacy.mechanism"] == ("dp-sgd", "none")
    assert found.differ["privacy.epsilon"] == ("8.0", "not set")
    assert not any(key.startswith(("data.", "task.")) for key in found.differ)
    assert found.runs[0].epsilon == max(one.privacy.epsilon for one in private.hospitals if one.privacy)
    assert found.runs[1].epsilon is None


def test_a_private_run_whose_secure_sums_tell_nobody_what_was_spent_is_not_said_to_be_without_privacy(
    private: Results, open_to_all: Results
) -> None:
    unknown = private.model_copy(
        update={
            "hospitals": tuple(one.model_copy(update={"privacy": None}) for one in private.hospitals),
            "rounds": tuple(one.model_copy(update={"epsilons": {}}) for one in private.rounds),
        }
    )
    rows = {row[0]: row[1:] for row in side_by_side([("a", unknown), ("b", open_to_all)]).rows()}
    assert rows["epsilon"] == ("not told", "none")
    assert dict(verdict(unknown))["Private?"].startswith("a training patient was exposed by at most ε = 8")
    assert dict(verdict(open_to_all))["Private?"].startswith("without differential privacy")


def test_a_released_model_that_a_study_started_from_is_said_in_a_word(open_to_all: Results) -> None:
    start = Start(name="first", model="a" * 64, weights="b" * 64, trained=(Trained(study="c" * 64, name="first"),))
    study = open_to_all.study.model_copy(update={"model": open_to_all.study.model.model_copy(update={"start": start})})
    found = side_by_side([("a", open_to_all), ("b", open_to_all.model_copy(update={"study": study}))])
    assert found.differ["model.start"] == ("not set", "first aaaaaaaaaaaa")


def test_the_headline_stands_first_with_its_interval(private: Results, open_to_all: Results) -> None:
    found = side_by_side([("a", private), ("b", open_to_all)])
    estimate = private.evaluation["federated"]["all"].metrics[private.headline.name]
    assert found.metrics[0].name == private.headline.name
    assert found.runs[0].figures[private.headline.name] == estimate
    rows = {row[0]: row[1] for row in found.rows()}
    assert rows[private.headline.label] == f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def test_runs_of_other_tasks_or_classes_are_refused(private: Results) -> None:
    other = example(classes=3, hospitals=2, baselines=False)
    with pytest.raises(StudyError, match="apart"):
        side_by_side([("a", private), ("b", other)])


@pytest.mark.parametrize(
    ("runs", "error", "says"),
    [
        (["a"], StudyError, "fewer than two runs"),
        (["a", "./a"], StudyError, "named twice"),
        (["a", "nowhere"], StorageError, "there is no run here"),
        (["a", "file"], StorageError, "there is no run here"),
        (["a", "begun"], StorageError, "no results yet"),
        (["a", "broken"], StorageError, "these are no results"),
        (["a", "binary"], StorageError, "these are no results"),
    ],
)
def test_what_is_no_run_is_refused_with_the_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    private: Results,
    runs: list[str],
    error: type[Exception],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    keep(tmp_path / "a", private)
    (tmp_path / "file").write_text("x")
    for name, content in (("begun", None), ("broken", b"{}"), ("binary", b"\xff\xfe")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("run.json" if content is None else "results.json")).write_bytes(content or b"{}")
    with pytest.raises(error, match=says):
        compare(runs)


def test_the_command_prints_a_table_or_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], private: Results
) -> None:
    changed = private.model_copy(update={"devices": ("cuda:0 (a card)",)})
    runs = [keep(tmp_path / where / "run", results) for where, results in (("x", private), ("y", changed))]
    assert typed(monkeypatch, "compare", *runs) == 0
    said = capsys.readouterr().out
    assert "cuda:0 (a card)" in said
    assert private.headline.label in said
    assert typed(monkeypatch, "compare", *runs, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["format"] == "compare 1"
    assert [one["run"] for one in data["runs"]] == list(map(str, runs))  # of one name, and so told apart by place
    assert list(data["differ"]) == ["device"]
    assert typed(monkeypatch, "compare", runs[0]) == 3
    assert "two or more" in capsys.readouterr().err


def test_a_page_shows_what_compare_prints_with_curves_and_runs_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    private: Results,
    open_to_all: Results,
) -> None:
    script = "<script>alert(1)"
    runs = [keep(tmp_path / name, results) for name, results in ((script, private), ("b", open_to_all))]
    page = tmp_path / "page.html"
    assert typed(monkeypatch, "view", *runs, "--out", page) == 0
    text = page.read_text()
    for row in compare(runs).rows():
        for cell in row:
            assert str(escape(cell)) in text
    assert script not in text
    assert text.count("<polyline") == 6, "three figures of two runs"
    assert "default-src 'none'" in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text
    kept = tmp_path / "mine.txt"
    kept.write_text("mine")
    assert typed(monkeypatch, "view", *runs, "--out", kept) == 7
    assert kept.read_text() == "mine"
    assert typed(monkeypatch, "view", *runs, "--out", tmp_path) == 7, "a folder"
    assert typed(monkeypatch, "view", runs[0]) == 3
    capsys.readouterr()
