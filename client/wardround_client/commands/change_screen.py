"""A change over time on the screen and in a folder: a table of lesions, the sums, and how far each can be trusted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from wardround_client.commands.predict_screen import refusal
from wardround_client.intake.record import check_allowed
from wardround_client.intake.scan_report import shown
from wardround_client.prediction.case_by_case import ASIDE
from wardround_client.prediction.inputs import check_apart, files_of
from wardround_client.prediction.model import open_model
from wardround_client.prediction.over_time import Examined, change_of, examine, in_order, rows_of
from wardround_client.prediction.predicting import asking_of
from wardround_client.tasks.contract import Case
from wardround_client.training.devices import choose
from wardround_client.volumes import Refused
from wardround_common.errors import DataError, StorageError
from wardround_common.results.model_folder import MODEL
from wardround_common.shell.stopping import NOTHING_KEPT, stopped_with
from wardround_common.storage import LOCK, alone_in, half_written, no_room_is_said, sweep, write_atomically

LINES, TABLE, PICTURE = "change.json", "change.csv", "change.png"
FORMAT = "wardround change 1"
MOST_SHOWN = 20
"""Lesions of a structure on the screen, the largest first."""


def change_and_show(
    folder: Path,
    studies: Sequence[Path],
    out: Path | None,
    *,
    preview: bool,
    allow: frozenset[str],
    device: str,
    as_json: bool,
) -> None:
    """Follow a patient's lesions over examinations, and show or write what came of it.

    Raises:
        StorageError: the model's folder is not whole, or the folder for the figures cannot be used.
        DataError: an examination cannot be used, or they cannot be compared.
    """
    check_allowed(allow)
    model = open_model(folder, choose(device))
    cases = asking_of(model).cases
    if cases is None:
        raise DataError(
            "this model outlines nothing, so that no lesion can be followed",
            where=str(folder),
            do="Use a model that was trained to outline.",
        )
    check_apart(studies, out, "figures")
    if out is not None:
        _check_out(out)
    found = files_of(studies, leave_out=out)
    there = list(cases([each.path for each in found], model.study, allow))
    named = {each.path for each in found if each.named}
    refused = [
        one for one in there if isinstance(one, Refused) and (one.reason not in ASIDE or named.intersection(one.files))
    ]
    console = Console(stderr=True)
    for one in refused:
        console.print(refusal(str(min(one.files)), one.what, one.reason, one.do), soft_wrap=True)
    if refused:
        raise DataError(
            f"{len(refused)} of what you named cannot be used, and a change over the others would have a gap",
            do="Name the examinations that are to be compared, without what was refused.",
        )
    examinations = [one for one in there if isinstance(one, Case)]
    in_order(examinations)  # what is wrong with them is said before anything is outlined
    columns = (TextColumn("Outlining"), BarColumn(), MofNCompleteColumn())
    with stopped_with(lambda: NOTHING_KEPT), Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(examinations))
        outlined = examine(model, examinations, lambda done: progress.update(bar, completed=done))
    change = {
        "format": FORMAT,
        "model": model.card.name,
        "weights": model.card.files[MODEL],
        "patient": outlined[0].series.patient,
    } | change_of(outlined, model.study.groups)
    if out is not None:
        _write(out, change, outlined, preview=preview)
    if as_json:
        print(json.dumps(change, ensure_ascii=False))  # noqa: T201  # for a program
    else:
        _show(change)
    if out is not None:
        names = ", ".join((LINES, TABLE, *([PICTURE] if preview else [])))
        console.print(Text(f"Written to {shown(str(out))}: {names}. It stays at the hospital."), soft_wrap=True)


def _check_out(out: Path) -> None:
    """Make the folder, before anything is outlined, and check that nothing else is in it."""
    with no_room_is_said(out / LINES):
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        others = {path.name for path in out.iterdir()}
    ours = (LINES, TABLE, PICTURE)
    if others - {*ours, LOCK, *(left.name for name in ours for left in half_written(out, name))}:
        raise StorageError(
            "this folder holds other files, and nothing is written among them",
            where=str(out),
            do="Name a new folder with --out.",
        )


def _write(out: Path, change: Mapping[str, Any], outlined: Sequence[Examined], *, preview: bool) -> None:
    from wardround_client.prediction.change_picture import picture_of

    text = io.StringIO()
    rows = list(rows_of(change))
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    with alone_in(out):
        sweep(out)
        (out / PICTURE).unlink(missing_ok=True)
        if preview:
            write_atomically(out / PICTURE, picture_of(outlined, change), private=True)
        write_atomically(out / TABLE, text.getvalue().encode(), private=True)
        write_atomically(out / LINES, (json.dumps(change, indent=1, ensure_ascii=False) + "\n").encode(), private=True)


def _show(change: Mapping[str, Any]) -> None:
    console = Console()
    for structure in change["structures"]:
        table = Table(title=Text(structure["structure"]), title_justify="left")
        table.add_column("lesion", justify="right")
        for examination in change["examinations"]:
            table.add_column(examination["date"], justify="right")
        table.add_column("difference (95 % interval)", justify="right")
        for lesion in structure["lesions"][:MOST_SHOWN]:
            seen = [_size(one) for one in lesion["seen"]]
            table.add_row(str(lesion["lesion"]), *seen, _differs(lesion["long_axis_mm"], "mm"))
        if (more := len(structure["lesions"]) - MOST_SHOWN) > 0:
            table.add_row(f"{more} more")
        for name, unit in (("volume_ml", "mL"), ("sum_of_diameters_mm", "mm")):
            of = structure[name]
            label = "volume" if unit == "mL" else "sum of diameters"
            table.add_row(label, *(f"{value:.1f} {unit}" for value in of["of"]), _differs(of, unit))
        console.print(table)
        if structure["not_shown"]:
            dates = ", ".join(structure["not_shown"])
            console.print(f"Not every lesion's place is shown on {dates}: the sums are not of the same lesions.")
    for examination in change["examinations"][1:]:
        rigid = " registration" if examination["registration"] == "rigid" else ""
        how = f"laid on the first by {examination['registration']}{rigid}, correlation {examination['correlation']:.2f}"
        console.print(f"{examination['date']}: {how} over {examination['overlap']:.0%} of it", highlight=False)
    for examination in change["examinations"]:
        if examination["unlike"]:
            console.print(f"{examination['date']}: unlike the images of the model's training", highlight=False)
    console.print(Text(f"* beyond its interval. {change['interval']['assumption']}"), highlight=False)


def _size(seen: Mapping[str, Any]) -> str:
    if not seen["parts"]:
        return str(seen["state"])
    state = "" if seen["state"] in ("first", "persisting") else f"{seen['state']}, "
    return f"{state}{seen['long_axis_mm']:.1f} x {seen['short_axis_mm']:.1f} mm, {seen['volume_ml']:.2f} mL"


def _differs(of: Mapping[str, Any] | None, unit: str) -> str:
    if of is None:
        return "not known"
    low, high = of["interval"]
    percent = "" if of["percent"] is None else f", {of['percent']:+.0f} %"
    mark = " *" if of["beyond_interval"] else ""
    return f"{of['difference']:+.1f} {unit} ({low:+.1f} to {high:+.1f}){percent}{mark}"
