"""``wardround evaluate``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.counting import between, count, rounded
from wardround_common.errors import StorageError
from wardround_common.refusals import explained
from wardround_common.shell.command_options import (
    Allow,
    AsJson,
    ConfirmPatients,
    Device,
    ImageFolder,
    ImageState,
    LabelAttribute,
    Labels,
    ModelPath,
)

if TYPE_CHECKING:
    from wardround_client.prediction.judging import JudgedHere
    from wardround_client.prediction.model import Model
    from wardround_client.prediction.recalibrating import Recalibrated
    from wardround_common.metrics.shapes import Estimate
    from wardround_common.results.site import SiteMetrics
    from wardround_common.study.file import Study

Part = Literal["all", "train", "validation", "test"]


def evaluate(
    model: ModelPath,
    folder: ImageFolder,
    split: Annotated[
        Part, typer.Option(help="Patients to judge on: all, or those that the study's split of this folder puts there.")
    ] = "all",
    recalibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also fit the model's probabilities to these patients, and write FILE for 'predict --calibration'.",
            show_default=False,
        ),
    ] = None,
    labels: Labels = None,
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    state: ImageState = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Evaluate a saved model on this hospital's own images, by the metrics of its study.

    Nothing leaves this machine. A patient on whom the model was trained says nothing about its quality: for a folder
    that took part in the training, --split test takes the patients who did not. --recalibrate says what a calibration
    of this hospital's own changes, on patients whom its fit did not see.
    """
    import json

    from wardround_client.intake.patients import check_confirmed
    from wardround_client.prediction.judging import judge
    from wardround_client.prediction.model import open_model
    from wardround_client.preparation.source import Source
    from wardround_client.state.state_folder import default_state
    from wardround_client.training.devices import choose

    confirmed = frozenset(confirm_patients or ())
    check_confirmed(confirmed)
    if recalibrate is not None and recalibrate.exists():
        raise StorageError("this file already exists", where=str(recalibrate), do="Name another file.")
    opened = open_model(model, choose(device))
    source = Source(
        folder, state or default_state(folder), labels, label_attribute, frozenset(allow or ()), confirmed=confirmed
    )
    judged = judge(opened, source, split)
    fitted = None
    if recalibrate is not None:
        from wardround_client.prediction.recalibrating import recalibrate as fit_here
        from wardround_common.storage import write_atomically

        fitted = fit_here(opened, source, split)
        write_atomically(recalibrate, fitted.calibration.content(), private=True)
    if as_json:
        intake = judged.intake
        facts = {
            "model": opened.card.name,
            "study": opened.card.study_digest,
            "split": split,
            "refused": intake.refused,
            "left_out": intake.left_out,
            **({"variables": intake.variables} if intake.variables else {}),
            **({"withheld": [one.model_dump(mode="json") for one in judged.withheld]} if judged.withheld else {}),
            **judged.site.model_dump(mode="json"),
        }
        if fitted is not None:
            facts["recalibration"] = {
                "patients": dict(zip(opened.card.classes, fitted.calibration.patients, strict=True)),
                "alarms": list(fitted.alarms()),
                "before": {name: asdict(one) for name, one in fitted.before.items()},
                "after": {name: asdict(one) for name, one in fitted.after.items()},
            }
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    _show(opened, judged, split)
    if fitted is not None and recalibrate is not None:
        _show_fitted(opened, fitted, model, recalibrate)


def _show(model: Model, judged: JudgedHere, split: Part) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from wardround_client.preparation.variables import said_of_readings
    from wardround_common.tasks.registry import task_of

    site, console = judged.site, Console()
    patients = f"{count(site.patients, 'patient')}, " if site.patients is not None else ""
    part = "" if split == "all" else f" of the study's {split} patients"
    title = f"{model.card.name}: {patients}{count(site.images, 'record')}{part}"
    table = Table("metric", "value", "95 % interval", title=title, box=SIMPLE_HEAD, show_edge=False)
    for metric in task_of(model.study.task).metrics:
        found = site.metrics[metric.name]
        head = escape(task_of(model.study.task).headed(metric, model.study.task))
        if found.value is None:
            table.add_row(head, "none", found.reason)
            continue
        table.add_row(head, rounded(found.value), between(found.low, found.high) or found.reason)
    console.print(table)
    times = task_of(model.study.task).horizons(model.study.task)
    for time, figures in zip(times, site.horizons, strict=False):
        shown = ["none" if each is None else rounded(each) for each in (figures.predicted, figures.observed)]
        console.print(f"By {time}: mean risk {shown[0]}, observed {shown[1]}", highlight=False)
    task = task_of(model.study.task)
    if task.apart and site.by_group:
        for shown_groups in tables_by_group(model.study, site, console.width):
            console.print(shown_groups)
    if site.confusion:
        console.print(_confusion(model.study.groups, site.confusion))
    if isinstance(site.threshold, tuple):
        points = zip(model.study.groups, site.threshold, strict=True)
        said = ", ".join(f"{word} {'none' if point is None else f'{point:g}'}" for word, point in points)
        console.print(f"Decided at the operating points of the run: {said}.", highlight=False, markup=False)
    elif site.threshold is not None:
        told = f"probability of '{model.study.groups[-1]}'" if "specificity" in task.decisions else "confidence"
        console.print(
            f"Decided from a {told} of {site.threshold:g} on, the operating point of the run.",
            highlight=False,
            markup=False,
        )
    if site.threshold is not None and model.card.temperature not in (None, 1.0):
        console.print(
            "Operating points are of the network's own probability, before calibration; a prediction tells "
            "probability and operating point calibrated, and decides the same.",
            highlight=False,
        )
    if judged.withheld:
        console.print(_withheld(model, judged))
    records = "patients" if model.study.data.record == "patient" else "series"
    for line in said_of_readings(judged.intake.variables, records):
        console.print(f"In the whole folder, {line}.", highlight=False, markup=False)
    aside = {**judged.intake.refused, **judged.intake.left_out}
    if aside:
        console.print(f"Not judged on: {explained(dict(sorted(aside.items())))}.", highlight=False, markup=False)


def _show_fitted(model: Model, fitted: Recalibrated, folder: Path, file: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from wardround_common.tasks.registry import task_of

    console = Console(highlight=False, markup=False)  # the study's words may have brackets
    console.print()
    for alarm in fitted.alarms():
        console.print(f"Warning: {alarm}", style="yellow")
    table = Table("metric", "as released", "recalibrated here", box=SIMPLE_HEAD, show_edge=False)
    for metric in task_of(model.study.task).metrics:
        head = task_of(model.study.task).headed(metric, model.study.task)
        table.add_row(head, *(_told(figures[metric.name]) for figures in (fitted.before, fitted.after)))
    console.print(table)
    for sentence in fitted.cost():
        console.print(sentence)
    point = fitted.calibration.point
    word = fitted.calibration.classes[-1]
    decided = "" if point is None else f" '{word}' is decided from a recalibrated probability of {point:.3f} on."
    console.print(
        f"Wrote {file}.{decided} Apply it with: wardround predict {shlex.quote(str(folder))} INPUT "
        f"--calibration {shlex.quote(str(file))}",
        soft_wrap=True,
    )


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return estimate.reason
    around = between(estimate.low, estimate.high)
    return rounded(estimate.value) + (f" ({around})" if around else "")


def tables_by_group(study: Study, site: SiteMetrics, width: int) -> list[object]:
    """Return the figures of each group as tables of no more columns than fit beside one another."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from wardround_common.tasks.registry import task_of

    task, names = task_of(study.task), list(site.by_group[0].figures)
    columns = {
        "present": [f"{group.records:,}" for group in site.by_group],
        "absent": [f"{group.rest or 0:,}" for group in site.by_group],
        "found": [f"{group.found:,}" for group in site.by_group],
    }
    for name in names:
        values = [group.figures[name] for group in site.by_group]
        columns[task.headed(task.metric(name), study.task)] = [
            "none" if value is None else rounded(value) for value in values
        ]
    first = [task.group_words[0], *map(escape, study.groups)]
    left = max(map(len, first)) + GAP
    parts: list[list[str]] = []
    room = 0
    for head, cells in columns.items():
        needed = max(map(len, [head, *cells])) + GAP
        if room < needed:
            parts.append([])
            room = width - left
        parts[-1].append(head)
        room -= needed
    tables: list[object] = []
    for part in parts:
        table = Table(first[0], *part, box=SIMPLE_HEAD, show_edge=False)
        for place, word in enumerate(first[1:]):
            table.add_row(word, *(columns[head][place] for head in part))
        tables.append(table)
    return tables


GAP = 3
"""Columns of a terminal between two columns of a table."""


def _withheld(model: Model, judged: JudgedHere) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from wardround_common.tasks.registry import task_of

    headline = task_of(model.study.task).first
    told = "Told that an input is missing of everybody"
    head = ("without", "missing anyway", headline.label, "what it is worth", "95 % interval")
    table = Table(*head, title=told, box=SIMPLE_HEAD, show_edge=False)
    for one in judged.withheld:
        value, gain = (
            "none" if each is None else form.format(each)
            for each, form in ((one.value, "{:.3f}"), (one.gain, "{:+.3f}"))
        )
        around = "" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"
        table.add_row(one.name, f"{one.records - one.known:,} of {one.records:,}", value, gain, around)
    return table


def _confusion(groups: tuple[str, ...], counts: tuple[tuple[int, ...], ...]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("true \\ decided", *groups, box=SIMPLE_HEAD, show_edge=False)
    for word, row in zip(groups, counts, strict=True):
        table.add_row(word, *(f"{count:,}" for count in row))
    return table
