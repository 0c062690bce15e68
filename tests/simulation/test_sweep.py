"""A sweep: every study with every value and seed, once; stopped and started again it ends with the same table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from test_run import phantom_study
from test_simulate_command import typed, write

from examples import DP
from wardround_common.errors import StorageError, StudyError
from wardround_common.results import FEDERATED, Results
from wardround_server.report.example import example
from wardround_server.report.tables.means import mean_over_hospitals
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan, Progress
from wardround_simulation.sweep import (
    Row,
    Sweep,
    as_csv,
    grouped,
    picture,
    privacy_note,
    row_of,
    sweep,
    table,
    trials_of,
)
from wardround_simulation.workers import InThisProcess, Workers


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "small.toml", phantom_study(training={"rounds": 2}))


def rows(file: Path) -> tuple[Row, ...]:
    """Two values with two seeds each, and what came of them."""
    trials = trials_of([file], [("training.learning_rate", (0.01, 0.1))], (0, 1))
    figures = [(0.5, 0.7), (0.7, 0.9), (0.4, 0.4), None]
    return tuple(
        Row(trial, {"a": one[0], "b": one[1]}) if one else Row(trial, {}, failed="training diverged")
        for trial, one in zip(trials, figures, strict=True)
    )


def test_there_is_a_run_for_each_study_value_and_seed(file: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.toml", phantom_study(model={"network": "tiny-cnn"}))
    grids = [("training.learning_rate", (0.01, 0.1)), ("training.batch_size", (4, 8, 16))]
    trials = trials_of([file, other], grids, (0, 5))
    assert len(trials) == len({trial.folder for trial in trials}) == 2 * 2 * 3 * 2
    assert trials[0].said() == "small, training.learning_rate = 0.01, training.batch_size = 4, seed 0"


@pytest.mark.parametrize(
    ("grids", "seeds", "says"),
    [
        ([("training.roundz", (1,))], None, "did you mean 'rounds'"),
        ([("training.rounds", (1, "x"))], None, "rounds"),
        ([("training.rounds", (1,)), ("training.rounds", (2,))], None, "swept more than once"),
        ([("training.learning_rate", (1, 1.0))], None, "the same study with the same seed"),
        ([("model.seed", (1, 2))], (1, 2), "seeds are given twice"),
        ([("training.rounds", tuple(range(1, 200)))], tuple(range(100)), "more than 10,000 runs"),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_runs(
    file: Path, grids: Any, seeds: tuple[int, ...] | None, says: str
) -> None:
    with pytest.raises(StudyError, match=says):
        trials_of([file], grids, seeds)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("training.learning_rate", (0.01, 0.1)),
        ("data.steps", ([], [{"step": "crop", "above": 0.1, "margin": 0.05}])),
    ],
)
def test_all_words_of_the_picture_lie_in_it(file: Path, key: str, values: Any) -> None:
    trials = trials_of([file], [(key, values)], (0, 1))
    drawn = picture(grouped([Row(trial, {"a": 0.5 + trial.seed / 10}) for trial in trials]))
    drawn.draw_without_rendering()
    (axes,) = drawn.axes
    for words in (axes.xaxis.label, *axes.get_yticklabels(), *drawn.texts):
        lies = words.get_window_extent()
        assert lies.x0 >= 0, words.get_text()
        assert lies.x1 <= drawn.bbox.x1, words.get_text()


def test_the_table_has_means_over_seeds_and_their_spread_and_says_what_failed(file: Path) -> None:
    head, first, second = table(grouped(rows(file)))
    assert head == ("runs", "seeds", "a", "b", "AUROC, mean ± SD")
    assert first == ("learning_rate = 0.01", "2", "0.600", "0.800", "0.700 ± 0.141")
    assert second == ("learning_rate = 0.1", "2 (1 failed)", "0.400", "0.400", "0.400")


def test_a_run_s_mean_is_that_of_its_report_which_leaves_out_hospitals_with_too_few(file: Path) -> None:
    (trial,), results = trials_of([file], [], (0,)), example(hospitals=3)
    assert row_of(trial, results).mean == mean_over_hospitals(results, FEDERATED)
    document, name = json.loads(results.to_json()), results.hospitals[0].name
    for group in document["evaluation"][FEDERATED][name]["by_group"]:
        group |= {"records": 1, "found": 0, "decided": 0}
    few = Results.from_json(json.dumps(document))
    row = row_of(trial, few)
    assert row.mean == mean_over_hospitals(few, FEDERATED) != mean_over_hospitals(results, FEDERATED)
    assert row.by_hospital[name] is not None


def test_a_seed_without_a_mean_is_counted_as_one(file: Path) -> None:
    trials = trials_of([file], [], (0, 1))
    (_, only) = table(grouped([Row(trials[0], {"a": 0.5}), Row(trials[1], {"a": None})]))
    assert only[1] == "2 (1 without a mean)"


def test_the_csv_has_a_line_for_each_run(file: Path) -> None:
    lines = list(csv.DictReader(as_csv(grouped(rows(file))).splitlines()))
    assert [line["training.learning_rate"] for line in lines] == ["0.01", "0.01", "0.1", "0.1"]
    assert [line["seed"] for line in lines] == ["0", "1", "0", "1"]
    assert (lines[1]["a"], lines[1]["mean"], lines[3]["mean"]) == ("0.7", "0.8", "")
    assert lines[3]["failed"] == "training diverged"


def test_a_private_sweep_says_what_each_run_would_cost_where_patients_are_real(tmp_path: Path, file: Path) -> None:
    private = write(tmp_path / "private.toml", phantom_study(privacy=DP))
    words = privacy_note(trials_of([private], [], (0, 1, 2)))
    assert words.startswith("3 of these runs train with differential privacy.")
    assert f"each of them would cost every patient epsilon {DP['epsilon']:g}" in words
    assert f"up to {3 * DP['epsilon']:g} together" in words
    assert privacy_note(trials_of([file], [], None)) == ""


@contextmanager
def here() -> Iterator[Workers]:
    yield InThisProcess()


class Interrupted(Exception):  # noqa: N818
    """Ctrl-C."""


def swept(file: Path, folder: Path, hospitals: Path, state: Path, stop_at: tuple[str, int] | None = None) -> Any:
    trials = trials_of([file], [("training.learning_rate", (0.001, 0.01))], None)
    lines: list[str] = []

    @contextmanager
    def show() -> Iterator[Any]:
        def shown(progress: Progress) -> None:
            if stop_at and len(lines) == 2 and (progress.phase, progress.done) == stop_at:
                raise Interrupted

        yield shown

    plan = Plan(trials[0].study, (), folder, resume=False, baselines=False)
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    return sweep(Sweep(trials, lambda study: sites, plan, folder), here, show, lines.append), lines


@pytest.mark.slow
def test_a_sweep_that_was_stopped_in_its_second_run_ends_with_the_same_table(
    file: Path, hospitals: Path, state: Path, tmp_path: Path
) -> None:
    whole, _ = swept(file, tmp_path / "whole", hospitals, state)
    with pytest.raises(Interrupted):
        swept(file, tmp_path / "cut", hospitals, state, ("training", 1))
    assert len((tmp_path / "cut" / "table.csv").read_text().splitlines()) == 2
    cut, lines = swept(file, tmp_path / "cut", hospitals, state)
    assert [line.split(":")[0] for line in lines] == ["Run 1 of 2 is finished", "Run 2 of 2, continued"]
    for name in ("table.csv", "table.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (tmp_path / "cut" / "table.png").read_bytes().startswith(b"\x89PNG")
    assert [group.mean for group in cut] == [group.mean for group in whole]
    assert len(json.loads((tmp_path / "cut" / "table.json").read_text())["groups"]) == 2
    # Another sweep does not write into this folder, nor one into the folder of a run.
    other = write(tmp_path / "small.toml", phantom_study(training={"rounds": 3}))
    with pytest.raises(StorageError, match="holds another sweep"):
        swept(other, tmp_path / "cut", hospitals, state)
    with pytest.raises(StorageError, match="holds no sweep"):
        swept(file, next((tmp_path / "cut" / "runs").iterdir()), hospitals, state)


@pytest.mark.slow
def test_a_run_that_fails_is_in_the_table_and_the_others_go_on(
    file: Path, hospitals: Path, state: Path, tmp_path: Path
) -> None:
    trials = trials_of([file], [("training.learning_rate", (1000.0, 0.01)), ("training.optimiser", ("sgd",))], (0,))
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    plan = Plan(trials[0].study, (), tmp_path / "s", resume=False, baselines=False)

    @contextmanager
    def show() -> Iterator[Any]:
        yield lambda progress: None

    first, second = sweep(Sweep(trials, lambda study: sites, plan, tmp_path / "s"), here, show, lambda line: None)
    assert first.rows[0].failed
    assert second.mean is not None


def test_a_run_with_too_few_hospitals_is_refused_before_the_first_one(file: Path, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "H" / name).mkdir(parents=True)
    sites = sites_in(tmp_path / "H", Places(None, None, frozenset(), None))
    trials = trials_of([file], [("aggregation.min_hospitals", (3, 9))], None)
    plan = Plan(trials[0].study, (), tmp_path / "s", resume=False, baselines=False)
    with pytest.raises(StudyError, match="min_hospitals = 9, and here 3 of 3 hospitals can train"):
        sweep(Sweep(trials, lambda study: sites, plan, tmp_path / "s"), here, lambda: nullcontext(print), print)
    assert not (tmp_path / "s").exists()


def test_wrong_input_at_the_command_gets_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, hospitals: Path, tmp_path: Path
) -> None:
    for options, code, says in (
        (["--set", "training.roundz=1,2"], 3, "did you mean 'rounds'"),
        (["--set", "training.rounds="], 3, "a grid without values has no runs"),
        (["--seeds", "3..1"], 3, "there is no seed from 3 to 1"),
        (["--set", "training.rounds=1,2"], 4, "say where the images are"),
    ):
        assert typed(monkeypatch, "sweep", file, *options) == code
        assert says in capsys.readouterr().err
    for command in (["sweep", "--set", "training.rounds=1,2"], ["simulate"]):
        assert typed(monkeypatch, *command, file, "--hospitals", hospitals, "--out", file, "--no-baselines") == 7
        assert f"{file}: this is a file, and a folder is to be there" in capsys.readouterr().err
    assert typed(monkeypatch, "simulate", file, "--hospitals", tmp_path, "--set", "training.rounds=none") == 3
    assert "rounds" in capsys.readouterr().err
