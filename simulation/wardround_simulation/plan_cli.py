"""``wardround study plan``: noise, epsilon and signal to noise, before training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.shell.command_options import AsJson, StudyFile

if TYPE_CHECKING:  # torch takes two seconds to import: help, and an error in the study file, come without it
    from wardround_common.study.file import Study
    from wardround_simulation.plan import StudyPlan

MOST_HOSPITALS = 100


def plan(
    file: StudyFile,
    patients: Annotated[
        str,
        typer.Option(metavar="N1,N2,...", help="Number of training patients at each hospital.", show_default=False),
    ],
    dropouts: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of hospitals that may drop out of a step; by default as the study says, otherwise 0.",
            show_default=False,
        ),
    ] = None,
    colluders: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number of hospitals that may reveal their noise; by default as the study says, otherwise 1.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Also write an HTML page with the curve over epsilon.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan a study: compute its privacy cost and the noise it needs, before anything is trained.

    Plans each hospital separately under local trust, and all together under distributed trust.
    """
    from wardround_common.study.file import read_study

    numbers = _numbers(patients)
    if out is not None and out.suffix not in (".html", ".htm"):
        raise typer.BadParameter("the page is HTML: give its file a name in .html", param_hint="--out")
    study = read_study(file)
    from wardround_simulation.door.planning import plan as plan_study

    made = plan_study(study, numbers, dropouts=dropouts, colluders=colluders).plan
    if out is not None:
        _write(study, made, numbers, out)
    if as_json:
        whole = {"digest": study.digest(), "study": study.study.name, "plan": dataclasses.asdict(made)}
        typer.echo(json.dumps(whole, indent=2))
        return
    _show(study, made)
    if out is not None:
        typer.echo(f"Page: {out}")


def _numbers(patients: str) -> list[int]:
    parts = [part.strip() for part in patients.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdigit() and 0 < int(part) <= 10**9):
            raise typer.BadParameter(
                f"'{part}' is not a number of patients: name one whole number per hospital, such as 240,180,60",
                param_hint="--patients",
            )
    if len(parts) > MOST_HOSPITALS:
        raise typer.BadParameter(
            f"{len(parts)} hospitals are more than a study can have, {MOST_HOSPITALS}", param_hint="--patients"
        )
    return [int(part) for part in parts]


def _write(study: Study, made: StudyPlan, patients: list[int], out: Path) -> None:
    from rich.console import Console
    from rich.progress import track

    from wardround_common.storage import write_atomically
    from wardround_simulation.plan import curve
    from wardround_simulation.plan_page import epsilons_around, render

    distributed = made.distributed
    terms = (distributed.dropouts, distributed.colluders) if distributed else (0, 0)
    epsilons = epsilons_around(made.epsilon)
    plans = list(
        track(
            curve(study, patients, made.parameters, *terms, epsilons),
            "Planning at other epsilons",
            total=len(epsilons),
            console=Console(stderr=True),
            transient=True,
        )
    )
    write_atomically(out, render(study, made, plans).encode())


def _show(study: Study, made: StudyPlan) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from wardround_simulation.plan_page import HEAD, cells, notes, said_of_start

    console = Console()
    title = f"{study.study.name}: planned at delta {made.delta:g}, {made.parameters:,} parameters"
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))  # it fits 80 characters
    for word in HEAD:
        table.add_column(word, no_wrap=True, justify="left" if word == HEAD[0] else "right")
    for row in cells(made):
        table.add_row(*row)
    console.print(table)
    for note in (*said_of_start(study, made), *notes(made)):
        console.print(f"· {note}", highlight=False)
