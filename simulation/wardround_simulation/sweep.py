"""Several simulated runs side by side: each study with each value and each seed, and what came of them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from wardround_common.errors import RoundError, StorageError, StudyError
from wardround_common.results import FEDERATED, Results
from wardround_common.storage import no_room_is_said, write_atomically
from wardround_common.study.file import Study, read_study
from wardround_common.study.privacy import DpSgd
from wardround_common.tasks.registry import task_of
from wardround_server.report.figures.style import Shown
from wardround_server.report.tables.means import counted
from wardround_simulation.federation import Site
from wardround_simulation.run.begun import is_begun
from wardround_simulation.run.plan import Plan, Show, check_hospitals
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import Workers

FORMAT = "sweep 1"
NOTE, TABLE, NUMBERS, PICTURE = "sweep.json", "table.csv", "table.json", "table.png"
MOST_TRIALS = 10_000


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: a study with some settings and a seed."""

    study: Study
    file: str
    """The study file's name, without its ending."""
    settings: tuple[tuple[str, str], ...]
    """What the grid sets, as a person reads it."""

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.study.model.seed

    @property
    def folder(self) -> str:
        """Return the name of the run's folder: the beginning of the study digest."""
        return self.study.digest()[:16]

    @property
    def group(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What the runs that differ by their seed have in common."""
        return self.file, self.settings

    def said(self) -> str:
        """Say which run it is, in a line."""
        return ", ".join([self.file, *(f"{key} = {value}" for key, value in self.settings), f"seed {self.seed}"])


@dataclass(frozen=True)
class Row:
    """What came of one run."""

    trial: Trial
    by_hospital: Mapping[str, float | None]
    """The task's headline of the federated model on each hospital's test patients."""
    epsilon: float | None = None
    """The most that a hospital would have spent."""
    failed: str = ""
    """Why there are no figures, in one sentence."""
    aside: frozenset[str] = frozenset()
    """The hospitals that means over hospitals do not count: they only evaluate, or have too few test records."""

    @property
    def mean(self) -> float | None:
        """The mean over the hospitals that have a figure and count: that of the run's report."""
        values = [value for name, value in self.by_hospital.items() if value is not None and name not in self.aside]
        return statistics.fmean(values) if values else None


@dataclass(frozen=True)
class Group:
    """The runs that differ by their seed."""

    file: str
    settings: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]

    @property
    def means(self) -> list[float]:
        """The mean over hospitals of each run that has one."""
        return [row.mean for row in self.rows if row.mean is not None]

    @property
    def mean(self) -> float | None:
        """The mean over seeds of the mean over hospitals."""
        return statistics.fmean(self.means) if self.means else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None of fewer than two."""
        return statistics.stdev(self.means) if len(self.means) > 1 else None

    def at(self, hospital: str) -> float | None:
        """Return a hospital's mean over seeds."""
        values = [value for row in self.rows if (value := row.by_hospital.get(hospital)) is not None]
        return statistics.fmean(values) if values else None


def trials_of(
    files: Sequence[Path | Study], grids: Sequence[tuple[str, tuple[Any, ...]]], seeds: Sequence[int] | None
) -> tuple[Trial, ...]:
    """Return the runs of a sweep, each study with each combination of values and each seed, all of them checked.

    Raises:
        StudyError: a file, a key or a value is wrong, a key is swept twice, or two runs are the same.
    """
    keys = [key for key, _ in grids]
    if len(set(keys)) < len(keys):
        raise StudyError("a key is swept more than once", where="--set", do="Give all its values in one --set.")
    if seeds is not None and "model.seed" in keys:
        raise StudyError("seeds are given twice", where="--set model.seed", do="Use --seeds alone.")
    combinations = list(itertools.product(*(values for _, values in grids)))
    if len(files) * len(combinations) * len(seeds or (0,)) > MOST_TRIALS:
        raise StudyError(f"these are more than {MOST_TRIALS:,} runs", where="--set", do="Sweep fewer values or seeds.")
    found = []
    for file, values in itertools.product(files, combinations):
        settings = dict(zip(keys, values, strict=True))
        said = tuple((key, _said(value)) for key, value in settings.items())
        for seed in seeds or (None,):
            chosen = settings if seed is None else settings | {"model.seed": seed}
            study = file.but(chosen) if isinstance(file, Study) else read_study(file, chosen)
            found.append(Trial(study, file.study.name if isinstance(file, Study) else file.stem, said))
    if len({trial.study.digest() for trial in found}) < len(found):
        raise StudyError(
            "two runs of the sweep are the same study with the same seed",
            where=", ".join(one.study.name if isinstance(one, Study) else str(one) for one in files),
            do="Name each study once, and each value once (1 and 1.0 are the same).",
        )
    return tuple(found)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


@dataclass(frozen=True)
class Sweep:
    """What is to be swept, and where it is kept."""

    trials: tuple[Trial, ...]
    sites_of: Callable[[Study], tuple[Site, ...]]
    """The hospitals of a study: a pool is cut by the study's seed."""
    plan: Plan
    """What all runs have in common; its study, sites and folder are replaced."""
    folder: Path


def sweep(
    plan: Sweep,
    crew: Callable[[], AbstractContextManager[Workers]],
    show: Callable[[], AbstractContextManager[Show]],
    tell: Callable[[str], None],
) -> tuple[Group, ...]:
    """Do the runs that are not finished, one after the other, and write table and picture after each.

    A run that cannot be trained, as at too high a learning rate, is in the table without figures, and is tried again
    by the same command.

    Raises:
        StorageError: the folder holds another sweep or a run, or cannot be written.
        StudyError: a study has too few hospitals here, or names others; nothing was run then.
        WardroundError: whatever ends a simulated run, but for its training.
    """
    sites = plan.sites_of(plan.trials[0].study)  # another seed gives them other patients and the same names
    for trial in plan.trials:
        check_hospitals(trial.study, sites)
    _claim(plan, sorted(site.name for site in sites))
    rows: list[Row] = []
    for number, trial in enumerate(plan.trials, 1):
        folder = plan.folder / "runs" / trial.folder
        if (results := finished_results(folder)) is not None:
            tell(f"Run {number} of {len(plan.trials)} is finished: {trial.said()}")
            row = row_of(trial, results)
        else:
            begun = is_begun(folder)
            tell(f"Run {number} of {len(plan.trials)}{', continued' if begun else ''}: {trial.said()}")
            run = replace(plan.plan, study=trial.study, sites=plan.sites_of(trial.study), folder=folder, resume=begun)
            try:
                with crew() as workers, show() as shown:
                    row = row_of(trial, simulate(run, workers, shown))
            except RoundError as error:
                row = Row(trial, {}, failed=error.what)
                tell(f"Run {number} failed: {error.what}")
            _write(grouped([*rows, row]), plan.folder)
        rows.append(row)
    groups = grouped(rows)
    _write(groups, plan.folder)
    return groups


def finished_results(folder: Path) -> Results | None:
    """Return the results of the run in this folder; None if there are none yet, or models are still to be trained.

    Raises:
        StorageError: they are damaged.
    """
    try:
        results = Results.from_json((folder / "results.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return None if results.waiting else results


def row_of(trial: Trial, results: Results) -> Row:
    """Return what came of a run."""
    name = results.headline.name
    sites = results.evaluation.get(FEDERATED, {})
    values = {one.name: sites[one.name].value(name) if one.name in sites else None for one in results.hospitals}
    spent = [one.privacy.epsilon for one in results.hospitals if one.privacy]
    aside = frozenset(values) - set(counted(results, results.trainers))
    return Row(trial, values, max(spent, default=None), aside=aside)


def grouped(rows: Sequence[Row]) -> tuple[Group, ...]:
    """Put the runs that differ by their seed together, in the order in which they came."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row.trial.group, []).append(row)
    return tuple(Group(file, settings, tuple(of)) for (file, settings), of in found.items())


def hospitals_of(groups: Sequence[Group]) -> list[str]:
    """Name the hospitals of all runs, in order."""
    return sorted({name for group in groups for row in group.rows for name in row.by_hospital})


def privacy_note(trials: Sequence[Trial]) -> str:
    """Say what private runs would cost where patients are real; nothing if none is private."""
    private = [trial.study.privacy for trial in trials if isinstance(trial.study.privacy, DpSgd)]
    if not private:
        return ""
    asked = [privacy.epsilon for privacy in private]
    least, most = min(asked), max(asked)
    cost = f"epsilon {least:g}" if least == most else f"epsilon {least:g} to {most:g}"
    return (
        f"{len(private)} of these runs train with differential privacy. At real hospitals each of them would cost "
        f"every patient {cost}, and all of them up to {sum(asked):g} together. Choose settings on other patients' "
        "data, or pay for every run."
    )


def _claim(plan: Sweep, hospitals: list[str]) -> None:
    note = plan.folder / NOTE
    now = {
        "format": FORMAT,
        "baselines": plan.plan.baselines,
        "hospitals": hospitals,
        "runs": {trial.folder: trial.said() for trial in plan.trials},
    }
    if note.exists():
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before != now:
            raise StorageError(
                "this folder holds another sweep: other studies, values, seeds or hospitals",
                where=str(plan.folder),
                do="Use the options that it began with, or name another folder with --out.",
            )
        return
    with no_room_is_said(plan.folder):
        others = plan.folder.exists() and any(plan.folder.iterdir())
    if others:
        raise StorageError(
            "this folder is not empty, and holds no sweep", where=str(plan.folder), do="Name another one with --out."
        )
    write_atomically(note, json.dumps(now, indent=1, ensure_ascii=False).encode())


def _write(groups: Sequence[Group], folder: Path) -> None:
    write_atomically(folder / TABLE, as_csv(groups).encode())
    write_atomically(folder / NUMBERS, (json.dumps(as_data(groups), indent=1, ensure_ascii=False) + "\n").encode())
    drawn = io.BytesIO()
    picture(groups).savefig(drawn, format="png", dpi=150)
    write_atomically(folder / PICTURE, drawn.getvalue())


def as_csv(groups: Sequence[Group]) -> str:
    """Return one line a run: study, settings, seed, the headline of each hospital, their mean, epsilon."""
    names = hospitals_of(groups)
    keys = list(dict.fromkeys(key for group in groups for key, _ in group.settings))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["study", *keys, "seed", *names, "mean", "epsilon", "failed", "run"])
    for group in groups:
        for row in group.rows:
            settings = dict(group.settings)
            figures = [row.by_hospital.get(name) for name in names]
            shown = [row.trial.seed, *figures, row.mean, row.epsilon, row.failed, row.trial.folder]
            lines.writerow([group.file, *(settings.get(key) for key in keys), *shown])
    return text.getvalue()


def as_data(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the table as JSON has it."""
    return {
        "format": FORMAT,
        "metric": headline_of(groups),
        "groups": [
            {
                "study": group.file,
                "settings": dict(group.settings),
                "mean": group.mean,
                "spread": group.spread,
                "hospitals": {name: group.at(name) for name in hospitals_of(groups)},
                "runs": [
                    {
                        "run": row.trial.folder,
                        "seed": row.trial.seed,
                        "mean": row.mean,
                        "hospitals": dict(row.by_hospital),
                        "epsilon": row.epsilon,
                        "failed": row.failed,
                    }
                    for row in group.rows
                ],
            }
            for group in groups
        ],
    }


def headline_of(groups: Sequence[Group]) -> str:
    """Return the label of the headline metric, with its unit; several, if the studies' tasks differ."""
    tasks = (row.trial.study.task for group in groups for row in group.rows)
    return " / ".join(dict.fromkeys(task_of(task).headed(task_of(task).first, task) for task in tasks))


def picture(groups: Sequence[Group]) -> Figure:
    """Draw each run as a point and each group's mean over seeds as a bar, one line a group."""
    figure = Shown(figsize=(7, 1.4 + 0.4 * max(len(groups), 2)), layout="constrained")
    axes = figure.subplots()
    for at, group in enumerate(groups):
        axes.plot(group.means, [at] * len(group.means), "o", color="#0072b2", alpha=0.6, markersize=5)
        if group.mean is not None:
            axes.errorbar(group.mean, at, xerr=group.spread, fmt="|", color="black", markersize=14, capsize=3)
    axes.set_yticks(range(len(groups)), [label_of(group, groups) for group in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)  # the first group stands at the top
    # Below the whole figure, in two lines: below the axes alone its end was cut off.
    said = f"{headline_of(groups)}, mean over hospitals' test patients\n(points: seeds; bar: mean ± SD)"
    figure.supxlabel(said, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    return figure


def label_of(group: Group, groups: Sequence[Group]) -> str:
    """Name a group by what tells it from the others."""
    file = [group.file] if len({one.file for one in groups}) > 1 or not group.settings else []
    return ", ".join([*file, *(f"{key.split('.')[-1]} = {value}" for key, value in group.settings)])


def table(groups: Sequence[Group]) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows as words, its head first; each hospital has a column if they are few."""
    names = hospitals_of(groups)
    shown = names if len(names) <= 6 else []
    yield ("runs", "seeds", *shown, f"{headline_of(groups)}, mean ± SD")
    for group in groups:
        mean = "-" if group.mean is None else f"{group.mean:.3f}"
        spread = "" if group.spread is None else f" ± {group.spread:.3f}"
        failed = sum(bool(row.failed) for row in group.rows)
        without = len(group.rows) - failed - len(group.means)
        apart = [f"{failed} failed"] * bool(failed) + [f"{without} without a mean"] * bool(without)
        seeds = f"{len(group.rows)}" + (f" ({', '.join(apart)})" if apart else "")
        figures = [group.at(name) for name in shown]
        words = ["-" if value is None else f"{value:.3f}" for value in figures]
        yield (label_of(group, groups), seeds, *words, mean + spread)
