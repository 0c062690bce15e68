"""Runs side by side: the settings that differ, how the models do, what they cost; the command prints the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_common.arguments import checked
from wardround_common.counting import between, rounded
from wardround_common.errors import CHECK_FILE, StorageError, StudyError
from wardround_common.metrics.shapes import Estimate
from wardround_common.results.frames import frame
from wardround_common.results.record import ALL, FEDERATED, Results
from wardround_common.study.privacy import DpSgd
from wardround_common.tasks.contract import Metric
from wardround_common.tasks.registry import task_of

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = "compare 1"
RESULTS = "results.json"
NOT_SET = "not set"


def read_results(folder: Path) -> Results:
    """Read the results of a run from its folder.

    Raises:
        StorageError: there is no run, or it has no results yet, or they are damaged.
    """
    file = folder / RESULTS
    try:
        return Results.from_json(file.read_text(encoding="utf-8"), where=str(file))
    except (FileNotFoundError, NotADirectoryError):
        begun = (folder / "run.json").exists() or (folder / "checkpoint").exists()
        raise StorageError(
            "this run has no results yet" if begun else f"there is no run here: {RESULTS} is missing",
            where=str(folder),
            do="Finish it: run the command that started it with --resume."
            if begun
            else "Name a run's folder, such as runs/NAME.",
        ) from None
    except UnicodeDecodeError:
        raise StorageError("these are no results: they are not UTF-8 text", where=str(file)) from None
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StorageError(f"the results cannot be read: {reason}", where=str(file), do=CHECK_FILE) from None


@dataclass(frozen=True)
class Compared:
    """One run of a comparison."""

    name: str
    """As a person tells it from the others: the name of its folder, or the whole path where two are called alike."""
    digest: str
    rounds: int
    seconds: float
    """Of all rounds together."""
    epsilon: float | None
    """The most that a patient of any hospital has spent; None without differential privacy, or where nobody knows."""
    private: bool
    """Whether it is with differential privacy."""
    figures: dict[str, Estimate]
    """Of the federation's model on all test patients, by the name of the metric; empty if it was not judged."""


@dataclass(frozen=True)
class Comparison:
    """Runs of one task, side by side, in the order in which they were named."""

    runs: tuple[Compared, ...]
    differ: dict[str, tuple[str, ...]]
    """Each setting that is not the same in all runs, with its value in each."""
    metrics: tuple[Metric[Any], ...] = field(repr=False)
    """The task's headline metric, and those in which its models are compared."""
    notes: tuple[str, ...] = ()
    """What a reader must know, one sentence each."""

    def data(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "format": FORMAT,
            "differ": {key: list(values) for key, values in self.differ.items()},
            "runs": [
                {
                    "run": run.name,
                    "study_digest": run.digest,
                    "rounds": run.rounds,
                    "seconds": round(run.seconds, 3),
                    "epsilon": run.epsilon,
                    "metrics": {
                        metric.name: {"value": of.value, "low": of.low, "high": of.high}
                        for metric in self.metrics
                        if (of := run.figures.get(metric.name))
                    },
                }
                for run in self.runs
            ],
            "notes": list(self.notes),
        }

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the table's rows as words, its head first: what is told, and its value in each run."""
        yield ("", *(run.name for run in self.runs))
        for key, values in self.differ.items():
            yield (key, *values)
        for metric in self.metrics:
            unit = f", {metric.unit}" if metric.unit else ""
            yield (f"{metric.label}{unit}", *(_figure(run.figures.get(metric.name)) for run in self.runs))
        if any(run.private for run in self.runs):
            yield ("epsilon", *(_spent(run) for run in self.runs))
        yield ("rounds", *(f"{run.rounds:,}" for run in self.runs))
        yield ("time of the rounds", *(_time(run.seconds) for run in self.runs))

    def to_frame(self) -> DataFrame:
        """Return one row for each run as a pandas DataFrame: settings that differ, metrics with intervals, cost.

        Raises:
            StudyError: pandas is not installed.
        """

        def row(place: int, run: Compared) -> dict[str, Any]:
            found: dict[str, Any] = {"run": run.name, **{key: values[place] for key, values in self.differ.items()}}
            for metric in self.metrics:
                of = run.figures.get(metric.name, Estimate(None))
                found |= {metric.name: of.value, f"{metric.name}_low": of.low, f"{metric.name}_high": of.high}
            return found | {"epsilon": run.epsilon, "rounds": run.rounds, "seconds": run.seconds}

        return frame(row(place, run) for place, run in enumerate(self.runs))

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        from markupsafe import escape

        lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows())
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{notes}"


@checked
def compare(runs: Sequence[PathLike[str] | str]) -> Comparison:
    """Compare two or more finished runs: settings that differ, headline metrics with intervals, epsilon, time.

    Args:
        runs: the runs' folders, or results: they stand for theirs.

    Raises:
        StorageError: one has no results, or they are damaged.
        StudyError: they are fewer than two, one is named twice, or they are of different tasks or classes.
    """
    folders = [Path(runs)] if isinstance(runs, str | PathLike) else [Path(run) for run in runs]
    if len(folders) < 2:
        raise StudyError("there is nothing to compare: fewer than two runs", do="Name two or more runs' folders.")
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise StudyError("this run is named twice", where=str(folder), do="Name each run once.")
    names = [place.name for place in places]
    told = [str(folder) if names.count(name) > 1 else name for folder, name in zip(folders, names, strict=True)]
    return side_by_side(list(zip(told, map(read_results, folders), strict=True)))


def side_by_side(runs: Sequence[tuple[str, Results]]) -> Comparison:
    """Compare results, each under a name of its own.

    Raises:
        StudyError: they are of different tasks, or tell different classes apart.
    """
    (first, of_first), *others = runs
    for name, results in others:
        if results.study.task.name != of_first.study.task.name:
            raise StudyError(
                f"{name} is a run of {results.study.task.name}, and {first} one of {of_first.study.task.name}: their "
                "figures mean different things",
                do="Compare runs of one task.",
            )
        if results.study.groups != of_first.study.groups:
            raise StudyError(
                f"{name} tells {', '.join(results.study.groups)} apart, and {first} {', '.join(of_first.study.groups)}",
                do="Compare runs with the same classes.",
            )
    task = task_of(of_first.study.task)
    named = dict.fromkeys((task.headline, *task.compared, *task.decisions))
    return Comparison(
        tuple(_compared(name, results) for name, results in runs),
        _differing([_settings(results) for _, results in runs]),
        tuple(task.metric(name) for name in named),
        tuple(_notes(runs)),
    )


def _compared(name: str, results: Results) -> Compared:
    site = results.evaluation.get(FEDERATED, {}).get(ALL)
    if site is None and len(results.hospitals) == 1:  # all patients are that hospital's
        site = results.evaluation.get(FEDERATED, {}).get(results.hospitals[0].name)
    spent = [one.privacy.epsilon for one in results.hospitals if one.privacy]
    spent += [one.epsilon for one in results.rounds[-1:] if one.epsilon is not None]
    return Compared(
        name,
        results.study_digest,
        len(results.rounds),
        sum(one.seconds for one in results.rounds),
        max(spent, default=None),
        isinstance(results.study.privacy, DpSgd),
        dict(site.metrics) if site else {},
    )


def _spent(run: Compared) -> str:
    """Say what a run cost; of secure sums, what was spent is not told to the coordinator."""
    if run.epsilon is None:
        return "not told" if run.private else "none"
    return f"{run.epsilon:.3g}"


def _settings(results: Results) -> dict[str, str]:
    """Return what a person set, by key with the section before a dot, and on whom and on what it ran."""
    found: dict[str, str] = {}
    for section, keys in results.study.tables(nulls=False).items():
        if isinstance(keys, dict):
            found |= {f"{section}.{key}": _said(value) for key, value in keys.items()}
    if (start := results.study.model.start) is not None:
        found["model.start"] = f"{start.name} {start.model[:12]}"
    return found | {
        "hospitals": ", ".join(one.name for one in results.hospitals),
        "training patients": ", ".join(f"{one.train.patients:,}" for one in results.hospitals if one.train),
        "device": ", ".join(results.devices),
        "engine": results.engine,
        "version of Wardround": results.versions.get("wardround", "unknown"),
    }


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _differing(settings: Sequence[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    keys = dict.fromkeys(key for one in settings for key in one)
    values = {key: tuple(one.get(key, NOT_SET) for one in settings) for key in keys}
    return {key: of for key, of in values.items() if len(set(of)) > 1}


def _notes(runs: Sequence[tuple[str, Results]]) -> Iterator[str]:
    tested = {
        (
            results.study.model.seed,
            results.study.evaluation.test,
            results.study.evaluation.validation,
            tuple((one.name, one.test.patients if one.test else None) for one in results.hospitals),
        )
        for _, results in runs
    }
    if len(tested) > 1:
        yield (
            "The runs were not tested on the same patients: seed, split or hospitals differ, so that a part of any "
            "difference is that of the patients."
        )
    for name, results in runs:
        if results.waiting:
            yield f"{name} is not finished: models that it is compared with are still to be trained."


def _figure(of: Estimate | None) -> str:
    if of is None or of.value is None:
        return "none"
    around = between(of.low, of.high)
    return rounded(of.value) + (f" ({around})" if around else "")


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
