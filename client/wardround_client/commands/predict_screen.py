"""Predictions on the screen: progress, a line for each case, and a count of what was refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from wardround_client.intake.labels import CLINICAL_FILE
from wardround_client.intake.scan_report import shown
from wardround_client.prediction.answers import Predictions, Told, predict
from wardround_client.prediction.dicom_out import Kind
from wardround_client.prediction.keeping import LINES, TABLE
from wardround_client.prediction.sources import Equipment
from wardround_common.shell.stopping import stopped_with

Begin = Callable[[int], None]
Tell = Callable[[Told | None], None]


@dataclass(frozen=True)
class Wanted:
    """What is asked for besides the answers."""

    out: Path | None
    preview: bool
    dicom: Kind | None
    captures: bool
    equipment: Equipment
    allow: frozenset[str]
    batch: int
    device: str
    as_json: bool
    calibration: Path | None = None
    clinical: Path | None = None


def predict_and_show(folder: Path, inputs: Sequence[Path], wanted: Wanted) -> bool:
    """Ask a model about all inputs; tell whether nothing was refused, again where an earlier run refused it.

    Raises:
        StorageError: the model's folder is not whole, or the folder for the predictions cannot be used.
        DataError: an input is not there, or there is nothing to ask about.
    """
    with as_they_come("Predicting", as_json=wanted.as_json, out=wanted.out) as (begin, tell):
        found = predict(
            folder,
            inputs,
            out=wanted.out,
            preview=wanted.preview,
            dicom=wanted.dicom,
            captures=wanted.captures,
            equipment=wanted.equipment,
            allow=wanted.allow,
            batch=wanted.batch,
            device=wanted.device,
            calibration=wanted.calibration,
            clinical=wanted.clinical,
            begin=begin,
            tell=tell,
        )
    _say(found)
    return not found.refused


@contextmanager
def as_they_come(doing: str, *, as_json: bool, out: Path | None) -> Iterator[tuple[Begin, Tell]]:
    """Show progress and each case that is told (``show``) while a model is asked about cases one by one.

    ``doing``: the word before the bar; ``out``: the folder that each case is kept in, if there is one. Yields what is
    called with the number of cases, and with each one that is done. Ctrl-C says how many are done, and how to continue.
    """
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    bar = progress.add_task("", total=None, visible=False)

    def begin(total: int) -> None:
        progress.update(bar, total=total, visible=True)

    done = 0

    def tell(one: Told | None) -> None:
        nonlocal done
        progress.advance(bar)
        if one is not None:
            done += 1
            show(one, console, as_json=as_json, kept=out is not None)

    def stopped() -> str:
        task = progress.tasks[bar]
        if task.total is None:
            return "Nothing was asked yet."
        left = f"{int(task.total - task.completed):,} are left"
        if out is None:
            return f"{done:,} are done, {left}. Nothing was kept: with --out DIR, the same command run again continues."
        return f"{done:,} are done and kept in {out}, {left}. Run the same command again to continue."

    with stopped_with(stopped), progress:
        yield begin, tell


def show(one: Told, console: Console, *, as_json: bool, kept: bool) -> None:
    """Show what became of a case: a refusal on ``console``, the answer as a line unless it is ``kept`` in a folder."""
    line = one.line
    if "refused" in line:
        console.print(refusal(line["input"], line["why"], line["refused"], one.do), soft_wrap=True)
    if as_json:
        print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201  # one object a line, for a program
    elif not kept and "refused" not in line:
        Console().print(Text(f"{shown(line['input'])}: {one.said}"), soft_wrap=True)


def refusal(name: str, why: str, reason: str, do: str) -> Text:
    """Say why a model was not asked about an input, and what to do."""
    return Text(f"Refused: {shown(name)}: {why} ({reason})" + (f"\n  → {do}" if do else ""))


def _say(found: Predictions) -> None:
    """Say what came of it, on standard error: standard output is for answers."""
    before = f"{found.done_before:,} done before" if found.done_before else ""
    parts = [f"{len(found.told) - found.refused:,} predicted", before, f"{found.refused:,} refused"]
    if found.passed_over:
        parts.append(f"{found.passed_over:,} that accompany images passed over")
    if found.unlike:
        parts.append(f"{found.unlike:,} predicted that are unlike the model's training")
    if found.without_body_part:
        parts.append(f"{found.without_body_part:,} predicted whose body part is not stated")
    console = Console(stderr=True)
    console.print(", ".join(filter(None, parts)), highlight=False)
    if found.told_of:
        known = ", ".join(f"{name} of {number:,}" for name, number in found.not_known.items() if number)
        lacks = found.tabled and found.clinical is None
        table = f"There was no table of clinical variables ({CLINICAL_FILE}, or --clinical). " if lacks else ""
        said = f"Not known, and told to the model as missing: {known}." if known else "All inputs were there."
        console.print(Text(table + said), soft_wrap=True)
    if found.folder is not None:
        console.print(
            Text(f"Written to {shown(str(found.folder))}: {LINES}, {TABLE}. It stays at the hospital."), soft_wrap=True
        )
