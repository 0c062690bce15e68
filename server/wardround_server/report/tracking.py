"""Follows a run's rounds in MLflow, TensorBoard and the like, where the study's ``[tracking]`` says so.

Followed are a round's figures over all hospitals together; one hospital's only where the study says so, which it can
where sums are not secure. What cannot be written ends no
run: there is one warning, and the rounds that are missing are written when it works again, at the next start at the
latest. A run that goes on, goes on in the same MLflow run and the same TensorBoard folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wardround_common.errors import StudyError
from wardround_common.one_form import one_form
from wardround_common.results import RoundRecord
from wardround_common.results.sinks import Outcome, Tracked
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study
from wardround_common.study.plugins import admit_sink
from wardround_server.report.plugin_sink import PluginSink, sink_of
from wardround_server.report.wandb_sink import WandbSink

log = logging.getLogger(__name__)

NOTES = "tracking.json"
EXPERIMENT = "wardround"
LONGEST_SETTING = 500  # what every MLflow server takes of a parameter
AGAIN_S = 60.0  # after a failure: a server that hangs must not hold up every round
Rounds = Sequence[tuple[int, dict[str, float]]]
PACKAGES = {
    "mlflow": ("mlflow", "tracking"),
    "tensorboard": ("tensorboardX", "tracking"),
    "wandb": ("wandb", "wandb"),
}
"""The package that each key of ``[tracking]`` needs, and the extra that brings it."""

# Set where nobody set it otherwise: nothing is told to MLflow's makers, a server that is away costs seconds, and
# nothing is printed between the lines of our log.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def figures_of(record: RoundRecord) -> dict[str, float]:
    """Return what is followed of a round: numbers over all hospitals together, by name.

    And each hospital's own, as ``FIGURE/HOSPITAL``, where the study tracks them and so the record has them.
    """
    figures: dict[str, float | None] = {
        "training_loss": record.training_loss,
        "validation_loss": record.validation_loss,
        f"validation_{record.headline.metric}": record.headline.value,
        "hospitals_answered": len(record.answered),
        "hospitals_absent": len(record.absent),
        "seconds": record.seconds,
        "bytes_to_hospitals": record.bytes_to_hospitals,
        "bytes_from_hospitals": record.bytes_from_hospitals,
        "refused": 1 if record.refused else None,
    }
    figures |= {
        f"{name}/{place_of(hospital)}": value
        for hospital, own in record.by_hospital.items()
        for name, value in (
            ("training_loss", own.training_loss),
            ("validation_loss", own.validation_loss),
            (f"validation_{record.headline.metric}", own.headline),
        )
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def place_of(hospital: str) -> str:
    """Return a hospital's name as every sink takes it: letters, digits, space, ``_``, ``.`` and ``-``.

    A roster's names are such. In a simulation a name may hold anything: what is replaced in it is made up for by the
    beginning of its SHA-256, so that no two hospitals become one, and no name is a path.
    """
    safe = re.sub(r"[^\w. -]|^[. ]|[. ]$", "_", hospital)
    return safe if safe == hospital else f"{safe}-{hashlib.sha256(hospital.encode()).hexdigest()[:6]}"


def settings_of(study: Study) -> dict[str, str]:
    """Return the study's keys as parameters of a run, by section and key; nothing in which hospitals are named."""
    tables = study.tables(nulls=False)
    tables.pop("roster", None)
    tables["evaluation"].pop("external", None)
    tables["model"].pop("start", None)  # whose training lists the hospitals that took part
    tables.pop("tracking", None)
    found: dict[str, str] = {}
    for section, table in tables.items():
        for key, value in table.items() if isinstance(table, dict) else [("", table)]:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found[f"{section}.{key}".rstrip(".")] = text[:LONGEST_SETTING]
    return found


def check_tracking(study: Study) -> None:
    """Check, before a run begins, that what the study's ``[tracking]`` needs is installed here.

    Raises:
        StudyError: it is not.
        PluginError: the plug-in of its sink is not installed exactly so, or has no such sink.
    """
    for key, (package, extra) in PACKAGES.items():
        if getattr(study.tracking, key) and importlib.util.find_spec(package) is None:
            raise StudyError(
                f"the study is tracked with {key}, which is not installed here",
                where="[tracking]",
                do=f"Install wardround[{extra}]. Or leave it out of the study: it is another study "
                "then, which hospitals approve anew.",
            )
    if study.tracking.sink:
        admit_sink(study)
        sink_of(study.tracking.sink)


class Sink(Protocol):
    """A place where rounds are written; ``note`` is what it needs to go on there, kept beside the run."""

    note: str

    def write(self, rounds: Rounds) -> None:
        """Write the figures of rounds, by their numbers and in their order."""

    def close(self, outcome: Outcome) -> None:
        """Note how the run ended."""


@dataclass(eq=False)
class Tracking:
    """What follows one run, from when it is entered until it is left; ``folder`` is the run's own."""

    folder: Path
    sinks: dict[str, Sink]
    stopped: Callable[[], bool] = lambda: False
    """Whether an error that ends the run is its people's wish."""
    clock: Callable[[], float] = time.monotonic
    _done: dict[str, int] = field(default_factory=dict)
    _history: tuple[RoundRecord, ...] = ()
    _failed: dict[str, float] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def follow(self, history: Sequence[RoundRecord]) -> None:
        """Write the rounds that are not written yet; ``history`` is all that are complete."""
        self._history = tuple(history)
        for name in self.sinks:
            if self._due(name):
                self._write(name)

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        killed = self.stopped() or (kind is not None and not issubclass(kind, Exception))
        outcome: Outcome = "FINISHED" if kind is None else "KILLED" if killed else "FAILED"
        for name, sink in self.sinks.items():
            # Who stops a run does not wait for a server that was away a moment ago.
            if (kind is None or self._due(name)) and self._write(name):
                self._safely(name, lambda sink=sink: sink.close(outcome))  # type: ignore[misc]

    def _due(self, name: str) -> bool:
        return name not in self._failed or self.clock() - self._failed[name] >= AGAIN_S

    def _write(self, name: str) -> bool:
        done = self._done.get(name, 0)
        sink, missing = self.sinks[name], [record for record in self._history if record.number > done]
        rounds = [(record.number, figures_of(record)) for record in missing]
        if not self._safely(name, lambda: sink.write(rounds)):
            return False
        self._done[name] = max([done, *(record.number for record in missing)])
        notes = {name: {"note": sink.note, "round": self._done.get(name, 0)} for name, sink in self.sinks.items()}
        return self._safely(name, lambda: write_atomically(self.folder / NOTES, json.dumps(notes).encode()))

    def _safely(self, name: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # whatever another's server or library does, the run goes on
            self._failed[name] = self.clock()
            if name not in self._warned:
                self._warned.add(name)
                log.warning(
                    "rounds cannot be written for %s; the run goes on, and they are written later: %s", name, error
                )
            return False
        return True


def open_tracking(study: Study, folder: Path, stopped: Callable[[], bool] = lambda: False) -> Tracking:
    """Begin to follow a run, or go on with it; a study without ``[tracking]`` is followed nowhere.

    ``stopped``: tells whether an error that ends the run is its people's wish.

    Raises:
        StudyError: what it needs is not installed.
    """
    check_tracking(study)
    try:
        notes: dict[str, Any] = json.loads((folder / NOTES).read_bytes())
    except (OSError, ValueError):
        notes = {}  # of figures that the report has too: they are written anew
    sinks: dict[str, Sink] = {}
    if study.tracking.mlflow:
        sinks["mlflow"] = _MlflowSink(study, folder, str(notes.get("mlflow", {}).get("note", "")))
    if study.tracking.tensorboard:
        sinks["tensorboard"] = _TensorBoardSink(folder / "tensorboard")
    run = Tracked(study.study.name, study.digest(), settings_of(study), folder / "sink")
    if study.tracking.wandb:
        sinks["wandb"] = WandbSink(run, folder / "wandb", str(notes.get("wandb", {}).get("note", "")))
    if study.tracking.sink:
        sinks[study.tracking.sink] = PluginSink(study.tracking.sink, run)
    return Tracking(folder, sinks, stopped, _done={name: int(notes.get(name, {}).get("round", 0)) for name in sinks})


class _MlflowSink:
    """One MLflow run; ``note`` is its id. The client is made when it is first needed: its server may be away."""

    def __init__(self, study: Study, folder: Path, note: str) -> None:
        self.note = note
        self._study = study
        self._place = study.tracking.server or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self._artifacts = None if study.tracking.server else (folder / "mlflow").resolve().as_uri()
        self._client: Any = None

    def write(self, rounds: Rounds) -> None:
        from mlflow.entities import Metric

        client, now = self._begun(), int(time.time() * 1000)
        metrics = [Metric(name, value, now, number) for number, figures in rounds for name, value in figures.items()]
        for begin in range(0, len(metrics), 1000):  # MLflow takes up to 100 at a time
            client.log_batch(self.note, metrics=metrics[begin : begin + 1000])

    def close(self, outcome: Outcome) -> None:
        self._begun().set_terminated(self.note, outcome)

    def _begun(self) -> Any:
        """Return the client, with the run there and going on."""
        if self._client is not None:
            return self._client
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self._place)
        if self.note:
            client.update_run(self.note, status="RUNNING")
        else:
            found = client.get_experiment_by_name(EXPERIMENT)
            experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, self._artifacts)
            tags = {"wardround.study": self._study.study.name, "wardround.digest": self._study.digest()}
            self.note = client.create_run(experiment, tags=tags, run_name=self._study.study.name).info.run_id
            settings = list(settings_of(self._study).items())
            for begin in range(0, len(settings), 100):  # MLflow takes up to 100 at a time
                client.log_batch(self.note, params=[Param(*one) for one in settings[begin : begin + 100]])
        self._client = client
        return client


def _folder_of(root: Path, hospital: str) -> Path:
    """Return a hospital's folder in one where others have theirs, the same one at each call.

    Where one of another hospital has the same name but for capitals, which is one folder on many disks, the later one's
    has a mark behind its name.
    """
    there = {path.name for path in root.iterdir()} if root.is_dir() else set()
    marked = f"{hospital}-{hashlib.sha256(hospital.encode()).hexdigest()[:8]}"
    alike = {name for name in there - {hospital} if one_form(name).casefold() == hospital.casefold()}
    return root / (marked if marked in there or (alike and hospital not in there) else hospital)


class _TensorBoardSink:
    """Files of events in one folder, one for each process that drove the run.

    A hospital's own figures are in a folder of its own within it: TensorBoard draws the curves of one name from several
    folders into one picture, with a legend.
    """

    note = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._events: dict[str, Any] = {}

    def write(self, rounds: Rounds) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for number, figures in rounds:
            for name, value in figures.items():
                figure, _, hospital = name.partition("/")
                event = Event(wall_time=time.time(), step=number, summary=scalar(figure, value))
                self._of(hospital).write_event(event)
        for events in self._events.values():
            events.flush()

    def close(self, outcome: Outcome) -> None:
        for events in self._events.values():
            events.close()
        self._events.clear()

    def _of(self, hospital: str) -> Any:
        """Return the file of a hospital, or that of all together, whose name is empty."""
        from tensorboardX.event_file_writer import EventsWriter

        if hospital not in self._events:
            folder = _folder_of(self._folder, hospital) if hospital else self._folder
            folder.mkdir(parents=True, exist_ok=True)
            # Its own name has the second only: two starts in one would write one file.
            self._events[hospital] = EventsWriter(str(folder / "events"), f".{secrets.token_hex(4)}")
        return self._events[hospital]
