"""A run that is followed in MLflow and TensorBoard: pooled figures only, once each, and no run ends by it."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from examples import study as example
from tensorboard_events import events
from wardround_common.errors import RoundError, StudyError
from wardround_common.results import Absence, Headline, OwnFigures, RoundRecord
from wardround_common.study.file import Study
from wardround_server.report import tracking
from wardround_server.report.tracking import (
    NOTES,
    Outcome,
    Rounds,
    Sink,
    Tracking,
    figures_of,
    open_tracking,
    place_of,
    settings_of,
)
from wardround_server.rounds import approval
from wardround_server.service.runs import Runs
from wards import NAMES, Wards, rostered

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow, under SQLAlchemy 2.1
    pytest.mark.usefixtures("undrawn"),
]


def tracked(of: Study | None = None, **keys: Any) -> Study:
    return Study.model_validate((of or example()).model_dump() | {"tracking": keys})


def record(number: int, **facts: Any) -> RoundRecord:
    usual: dict[str, Any] = {
        "seconds": 1.5,
        "bytes_to_hospitals": 1000,
        "bytes_from_hospitals": 2000,
        "training_loss": 1.0 / number,
        "validation_loss": None,
        "headline": Headline(metric="auroc", value=0.5),
        "answered": ("mercy", "north"),
    }
    return RoundRecord(number=number, **(usual | facts))


def fail(following: Tracking, histories: list[list[RoundRecord]]) -> None:
    """Follow a run that ends with an error."""

    def drive() -> None:
        with following:
            for history in histories:
                following.follow(history)
            raise RoundError("too few hospitals")

    with pytest.raises(RoundError, match="too few"):
        drive()


def mlflow_runs(folder: Path) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = (one for one in client.search_experiments() if one.name == "wardround")
    return [(client, run) for run in client.search_runs([experiment.experiment_id])]


def test_only_pooled_figures_are_followed_and_no_hospital_is_named() -> None:
    one = record(
        3,
        absent=(Absence(hospital="south", kind="silent"),),
        epsilons={"mercy": 1.25, "north": 3.75},
        clipped=0.125,
    )
    figures = figures_of(one)
    assert figures == {
        "training_loss": pytest.approx(1 / 3),
        "validation_auroc": 0.5,
        "hospitals_answered": 2.0,
        "hospitals_absent": 1.0,
        "seconds": 1.5,
        "bytes_to_hospitals": 1000.0,
        "bytes_from_hospitals": 2000.0,
    }
    assert not {1.25, 3.75} & set(figures.values())


def test_hospitals_own_figures_are_curves_of_one_name_in_folders_of_their_own(tmp_path: Path) -> None:
    own = {"mercy": OwnFigures(validation_loss=0.25, headline=0.75), "Süd (2)/..": OwnFigures(validation_loss=0.5)}
    one, study = record(1, by_hospital=own), tracked(tensorboard=True, hospitals=True)
    assert {name: value for name, value in figures_of(one).items() if "/" in name} == {
        "validation_loss/mercy": 0.25,
        "validation_auroc/mercy": 0.75,
        "validation_loss/Süd _2__._-8c6fe0": 0.5,
    }
    with open_tracking(study, tmp_path) as following:
        following.follow([one])
    assert events(tmp_path / "tensorboard" / "mercy") == {("validation_loss", 1): 0.25, ("validation_auroc", 1): 0.75}
    assert ("training_loss", 1) in events(tmp_path / "tensorboard")
    assert {path.name for path in (tmp_path / "tensorboard").iterdir() if path.is_dir()} == {
        "mercy",
        "Süd _2__._-8c6fe0",
    }


def test_hospitals_whose_names_differ_by_capitals_alone_have_folders_that_do_not(tmp_path: Path) -> None:
    own = {name: OwnFigures(validation_loss=loss) for name, loss in (("Mercy", 0.25), ("mercy", 0.5), ("MERCY", 1.0))}
    study = tracked(tensorboard=True, hospitals=True)
    for number in (1, 2):  # a run that goes on finds each one's folder again
        with open_tracking(study, tmp_path) as following:
            following.follow([record(number, by_hospital=own)])
    folders = [path.name for path in (tmp_path / "tensorboard").iterdir() if path.is_dir()]
    assert len({name.casefold() for name in folders}) == 3
    losses = [events(tmp_path / "tensorboard" / name) for name in sorted(folders, key=len)]
    assert sorted(found["validation_loss", 1] for found in losses) == [0.25, 0.5, 1.0]
    assert all(found["validation_loss", 1] == found["validation_loss", 2] for found in losses)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a:b", " a", "a.", "(", ")", "a\\b"])
def test_no_hospitals_name_is_a_path_and_no_two_become_one(name: str) -> None:
    place = place_of(name)
    assert re.fullmatch(r"[\w -][\w. -]*[\w-]", place)
    assert place not in {place_of(other) for other in ("..", "(", ")", "a b", "a_b", "_", "__") if other != name}


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_mlflow_run_and_tensorboard_folder(tmp_path: Path) -> None:
    study, history = tracked(mlflow=True, tensorboard=True), [record(number) for number in (1, 2, 3)]
    fail(open_tracking(study, tmp_path), [history[:1], history[:2]])
    ((_, failed),) = mlflow_runs(tmp_path)
    assert failed.info.status == "FAILED"
    with open_tracking(study, tmp_path) as second:
        second.follow(history)
    ((client, run),) = mlflow_runs(tmp_path)
    assert run.info.run_id == failed.info.run_id
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "training_loss")
    assert sorted((point.step, point.value) for point in points) == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert run.data.tags == {
        "mlflow.runName": "test",
        "wardround.study": "test",
        "wardround.digest": study.digest(),
    }
    found = events(tmp_path / "tensorboard")
    assert {step for _, step in found} == {1, 2, 3}
    assert {name for name, _ in found} == set(figures_of(history[0]))


def test_a_run_of_the_coordinator_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    runs = Runs(tmp_path / "runs", lambda name: Wards(tmp_path / "wards"))
    runs.begin(tracked(rostered(), tensorboard=True))
    runs.wait(60)
    (standing,) = runs.standings()
    assert standing.stage == "done", standing.said
    found = events(tmp_path / "runs" / "test" / "tensorboard")
    assert {step for _, step in found} == {1, 2}
    assert found["hospitals_answered", 1] == len(NAMES)


def test_what_is_not_installed_is_said_before_the_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else there(name))
    runs = Runs(tmp_path / "runs", lambda name: Wards(tmp_path / "wards"))
    with pytest.raises(StudyError, match=r"mlflow, which is not installed here(.|\n)*wardround\[tracking\]"):
        runs.begin(tracked(rostered(), mlflow=True))
    assert not (tmp_path / "runs").exists()
    tracking.check_tracking(tracked(tensorboard=True))


class Flaky:
    """A sink that is away for a while."""

    note = "id"

    def __init__(self) -> None:
        self.away = False
        self.written: list[int] = []
        self.outcome = ""

    def write(self, rounds: Rounds) -> None:
        if self.away:
            raise ConnectionError("the server is away")
        self.written += [number for number, _ in rounds]

    def close(self, outcome: Outcome) -> None:
        self.outcome = outcome


def test_a_server_that_is_away_costs_one_warning_and_its_rounds_come_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, now = Flaky(), [0.0]
    sinks: dict[str, Sink] = {"mlflow": sink}
    history = [record(number) for number in range(1, 6)]
    with caplog.at_level(logging.WARNING), Tracking(tmp_path, sinks, clock=lambda: now[0]) as following:
        following.follow(history[:1])
        sink.away = True
        following.follow(history[:2])
        now[0] += 61
        following.follow(history[:3])
        assert sink.written == [1]
        sink.away = False
        following.follow(history[:4])
        assert sink.written == [1]  # it is not asked at once again
    assert sink.written == [1, 2, 3, 4]
    assert sink.outcome == "FINISHED"
    assert len([one for one in caplog.records if "the run goes on" in one.message]) == 1
    assert json.loads((tmp_path / NOTES).read_bytes()) == {"mlflow": {"note": "id", "round": 4}}


def test_a_run_that_its_people_stop_is_killed_and_not_failed(tmp_path: Path) -> None:
    sink = Flaky()
    fail(Tracking(tmp_path, {"mlflow": sink}, stopped=lambda: True), [[record(1)]])
    assert sink.outcome == "KILLED"


INFO = {"run_id": "r1", "experiment_id": "1", "status": "RUNNING", "run_name": "test"}
RUN: dict[str, Any] = {"run": {"info": INFO, "run_info": INFO, "data": {}}}


class MlflowServer(ThreadingHTTPServer):
    """As much of MLflow's REST interface as a run needs; it keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Rest)


class _Rest(BaseHTTPRequestHandler):
    server: MlflowServer

    def do_GET(self) -> None:
        if "runs/get" in self.path:
            self._answer(200, RUN)
            return
        self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        what = self.path.rpartition("/mlflow/")[2]
        self.server.told.append((what, body, dict(self.headers)))
        answers = {"experiments/create": {"experiment_id": "1"}, "runs/create": RUN, "runs/update": RUN["run"]}
        self._answer(200, answers.get(what, {}))

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[MlflowServer]:
    made = MlflowServer()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_the_settings_that_are_kept_are_the_studys_keys_and_name_no_hospital() -> None:
    of = tracked(rostered(), mlflow="https://mlflow.example.org")
    settings = settings_of(of)
    assert (settings["training.rounds"], settings["model.network"]) == (str(of.training.rounds), of.model.network)
    everything = json.dumps(settings)
    assert of.roster
    assert not any(listed.key in everything or f'"{listed.name}"' in everything for listed in of.roster)
    assert "external" not in everything
    assert "example.org" not in everything


def test_a_server_is_told_the_pooled_figures_the_name_the_digest_the_settings_and_nothing_else(
    server: MlflowServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = tracked(mlflow=f"http://127.0.0.1:{server.server_address[1]}/team")
    with open_tracking(study, tmp_path) as following:
        following.follow([record(1, epsilons={"mercy": 1.25}, absent=(Absence(hospital="south", kind="silent"),))])
    told = [(what, body) for what, body, _ in server.told]
    assert [what for what, _ in told] == [
        "experiments/create",
        "runs/create",
        "runs/log-batch",
        "runs/log-batch",
        "runs/update",
    ]
    (_, create), (_, first), (_, batch) = told[1:4]
    assert {one["key"]: one["value"] for one in first["params"]} == settings_of(study)
    assert create["run_name"] == "test"
    assert {tag["key"]: tag["value"] for tag in create["tags"]} == {
        "wardround.study": "test",
        "wardround.digest": study.digest(),
    }
    assert {metric["key"] for metric in batch["metrics"]} == set(figures_of(record(1)))
    everything = json.dumps(told)
    for private in ("mercy", "south", "1.25", str(tmp_path)):
        assert private not in everything
    assert capfd.readouterr() == ("", "")


def test_a_server_that_nobody_answers_at_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), open_tracking(tracked(mlflow="http://127.0.0.1:9"), tmp_path) as following:
        following.follow([record(1)])
    assert len([one for one in caplog.records if "the run goes on" in one.message]) == 1
