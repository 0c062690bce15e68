"""``wardround sweep``: the same federation over studies, settings and seeds, and what came of it in one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_client.training.devices import CPU, choose, describe
from wardround_common.shell.command_options import (
    Allow,
    ConfirmPatients,
    Device,
    ImageState,
    LabelAttribute,
    LabelsInEach,
)
from wardround_simulation.cli import (
    Engine,
    HospitalsDir,
    PartitionHow,
    PoolDir,
    Split,
    WorkerCount,
    crew_of,
    sites_from,
)

if TYPE_CHECKING:
    from wardround_simulation.run import Show
    from wardround_simulation.workers import Workers


def sweep(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY...", help="Study files.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE,VALUE",
            help="Values of a study key to try, e.g. training.learning_rate=0.01,0.1; repeatable: all combinations.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Seeds, e.g. 0..4 or 0,1,7; by default the study's.", show_default=False),
    ] = None,
    hospitals: HospitalsDir = None,
    pool: PoolDir = None,
    split: Split = None,
    partition: PartitionHow = "iid",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the sweep; by default runs/sweep-NAME.", show_default=False),
    ] = None,
    workers: WorkerCount = None,
    device: Device = "auto",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines", help="In each run, also train on each hospital alone and on all data pooled."
        ),
    ] = False,
    labels: LabelsInEach = "",
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    confirm_patients: ConfirmPatients = None,
    engine: Annotated[Engine, typer.Option(help="Engine to run on; flower is Flower's own, on Ray.")] = "in-process",
    state: ImageState = None,
) -> None:
    """Simulate a federation over several studies, settings and seeds, and compare what came of it.

    You can interrupt a sweep at any time; run the same command again to continue.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wardround_common.study.settings import parse_grid, parse_seeds
    from wardround_simulation.sweep import NUMBERS, PICTURE, TABLE, Sweep, privacy_note, table, trials_of
    from wardround_simulation.sweep import sweep as run_all

    grids = [parse_grid(one) for one in settings or ()]
    trials = trials_of(studies, grids, None if seeds is None else parse_seeds(seeds))
    sites_of = sites_from(hospitals, pool, split, partition, labels, label_attribute, allow, state, confirm_patients)
    chosen, console = choose(device), Console(stderr=True)
    folder = out or Path("runs") / f"sweep-{trials[0].study.study.name}"
    if chosen != CPU:
        console.print(f"Training on {describe(chosen)}")
    if note := privacy_note(trials):
        console.print(Text(f"! {note}", style="yellow"))

    from wardround_simulation.display import Display
    from wardround_simulation.run import Plan

    @contextmanager
    def shown() -> Iterator[Show]:
        with Display(console) as display:
            yield display

    def crew() -> AbstractContextManager[Workers]:
        return crew_of(workers, chosen)

    first = Plan(trials[0].study, (), folder, resume=False, baselines=baselines, engine=engine, device=chosen)
    try:
        groups = run_all(
            Sweep(trials, sites_of, first, folder), crew, shown, lambda line: console.print(Text(line), soft_wrap=True)
        )
    except KeyboardInterrupt:
        console.print(f"Interrupted. Finished runs are in {folder}; run the same command again to continue.")
        raise typer.Exit(130) from None
    head, *rows = table(groups)
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for number, word in enumerate(head):
        drawn.add_column(Text(word), justify="left" if number == 0 else "right")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
    Console().print(f"Table:   {folder / TABLE}, {folder / NUMBERS}\nPicture: {folder / PICTURE}", soft_wrap=True)
