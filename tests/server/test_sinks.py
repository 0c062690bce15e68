"""Sinks of plug-ins and of Weights & Biases: they get what the coordinator has of all hospitals, and end no run."""

from __future__ import annotations

import getpass
import importlib.util
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples import study as example
from plugin_made import fresh_site, install
from wardround_common.errors import PluginError, StudyError
from wardround_common.plugins import loading
from wardround_common.results import Headline, RoundRecord
from wardround_common.results.sinks import Tracked
from wardround_common.study.file import Study
from wardround_common.study.plugins import compare, plugin_here
from wardround_common.study.words.describe import describe
from wardround_server.report import plugin_sink
from wardround_server.report.tracking import check_tracking, figures_of, open_tracking
from wardround_server.report.wandb_sink import WandbSink

SINK = """
import json, time
from wardround_common.results.sinks import Sink

class Lines:
    def __init__(self, run):
        self.run = run
    def write(self, number, figures):
        with (self.run.folder / "lines").open("a") as file:
            print(json.dumps([number, figures, self.run.name, dict(self.run.settings)]), file=file)
    def close(self, outcome):
        (self.run.folder / "outcome").write_text(outcome)

SINK = Sink(Lines)
"""
POINTS = {"wardround.sinks": {"lines": "{m}.sink:SINK"}}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from fresh_site(tmp_path / "site", monkeypatch)


def sunk(site: Path, code: str = SINK) -> Study:
    """Return the small study whose rounds a plug-in of this code writes."""
    install(site, files={"sink.py": code}, points=POINTS)
    return Study.model_validate(
        example().model_dump()
        | {"tracking": {"sink": "made-plugin:lines"}, "plugin": [plugin_here("made-plugin").model_dump()]}
    )


def record(number: int) -> RoundRecord:
    usual: dict[str, Any] = {"seconds": 1.5, "bytes_to_hospitals": 10, "bytes_from_hospitals": 20}
    headline = Headline(metric="auroc", value=0.5)
    of = {"training_loss": 1.0, "validation_loss": None, "headline": headline, "answered": ("mercy", "north")}
    return RoundRecord(number=number, epsilons={"mercy": 1.25}, **usual, **of)


def follow(study: Study, folder: Path, caplog: pytest.LogCaptureFixture) -> str:
    """Follow two rounds; return what was warned of."""
    with caplog.at_level(logging.WARNING), open_tracking(study, folder) as following:
        following.follow([record(1)])
        following.follow([record(1), record(2)])
    return "\n".join(one.getMessage() for one in caplog.records)


def test_a_plugin_writes_each_round_once_with_pooled_figures_and_no_hospitals_name(
    site: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = sunk(site)
    assert follow(study, tmp_path, caplog) == ""
    text = (tmp_path / "sink" / "lines").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(number, figures, name) for number, figures, name, _ in lines] == [
        (number, figures_of(record(number)), "test") for number in (1, 2)
    ]
    assert not any(private in text for private in ("mercy", "north", "1.25"))
    assert (tmp_path / "sink" / "outcome").read_text() == "FINISHED"
    said = " ".join(sentence for passage in describe(study) for sentence in passage.sentences)
    assert "The sink is code of a plug-in, which runs at the coordinator and at no hospital" in said
    assert study.plugin[0].sha256 in said


def test_hospitals_need_no_sink_and_do_not_run_it(site: Path) -> None:
    study = sunk(site, SINK + "\nraise SystemExit('it ran')\n")
    compare(study, network=True)
    assert "made-plugin" not in loading._LOADED
    compare(study, network=False)
    assert "made-plugin" not in loading._LOADED


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("print(json", "1 / 0; print(json"), "its code failed at made_plugin/sink.py, line 10, in write: Zero"),
        (("print(json", "raise SystemExit; print(json"), "its code failed at .* SystemExit"),
        (("print(json", "from asyncio import CancelledError as E; raise E; print(json"), "failed at .* Cancelled"),
        (("print(json", "time.sleep(2); print(json"), "its sink 'lines' did not end within 0.05 s"),
        (("def close", "def finish"), "its sink 'lines' opens a Lines, which has no close"),
        (("Sink(Lines)", "Sink(lambda run: None)"), "opens None, which has no write and no close"),
    ],
)  # fmt: skip
def test_a_sink_that_fails_hangs_or_is_none_is_told_as_itself_and_the_run_goes_on(
    site: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str],
    told: str,
) -> None:
    if "sleep" in change[1]:
        monkeypatch.setattr(plugin_sink, "LIMIT_S", 0.05)
    began = time.monotonic()
    warned = follow(sunk(site, SINK.replace(*change)), tmp_path, caplog)
    assert "rounds cannot be written for made-plugin:lines; the run goes on" in warned
    assert re.search(told, warned)
    assert time.monotonic() - began < 5


def test_what_is_no_sink_is_refused_before_the_run_begins(site: Path) -> None:
    with pytest.raises(PluginError, match="its sink 'lines' is no Sink but a type"):
        check_tracking(sunk(site, SINK.replace("Sink(Lines)", "Lines")))


def test_a_sink_that_is_not_installed_as_named_is_refused_before_the_run_begins(site: Path) -> None:
    study = sunk(site)
    (site / "made_plugin" / "sink.py").write_text(SINK + "\n# changed\n")
    with pytest.raises(PluginError, match="and installed is made-plugin"):
        check_tracking(study)
    with pytest.raises(StudyError, match=r"no \[\[plugin\]\] pins the package made-plugin"):
        Study.of_tables(study.tables() | {"plugin": []}, where="study")
    with pytest.raises(StudyError, match="a sink is a part of a plug-in"):
        Study.of_tables(study.tables() | {"tracking": {"sink": "lines"}}, where="study")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs the extra wandb")
def test_a_run_is_written_for_weights_and_biases_offline_without_machine_or_user(tmp_path: Path) -> None:
    run, folder = Tracked("test", "d" * 64, {"training.rounds": "2"}, tmp_path / "unused"), tmp_path / "wandb"
    first = WandbSink(run, folder, "")
    first.write([(1, {"training_loss": 1.0})])
    first.close("FAILED")
    second = WandbSink(run, folder, first.note)
    second.write([(2, {"training_loss": 0.5})])
    second.close("FINISHED")
    files, until = sorted(folder.rglob("*.wandb")), time.monotonic() + 10
    assert [file.name for file in files] == [f"run-{first.note}.wandb"] * 2
    rounds: list[dict[str, Any]] = []
    while len(rounds) < 2 and time.monotonic() < until:  # its own program writes them, a moment later
        records = [one for file in files for one in _records(file)]
        told = [one.history.item for one in records if one.WhichOneof("record_type") == "history"]
        rounds = [{item.nested_key[0]: json.loads(item.value_json) for item in items} for items in told]
    assert [(of["_step"], of["training_loss"]) for of in rounds] == [(1, 1.0), (2, 0.5)]
    begun = next(one.run for one in records if one.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert (begun.display_name, config["training.rounds"], config["wardround.digest"]) == ("test", "2", "d" * 64)
    assert (begun.host, begun.git.remote_url) == ("", "")
    written = b"".join(file.read_bytes() for file in files)
    for private in (socket.gethostname(), f"/home/{getpass.getuser()}", str(Path.cwd())):
        assert len(private) < 4 or private.encode() not in written


def _records(file: Path) -> list[Any]:
    """Read a file of Weights & Biases."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, found = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        found.append(wandb_internal_pb2.Record())
        found[-1].ParseFromString(data)
    store._fp.close()
    return found
