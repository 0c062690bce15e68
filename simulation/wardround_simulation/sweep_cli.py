"""``wardround sweep``: the same federation over studies, settings and seeds, and what came of it in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import (
    Allow,
    ConfirmPatients,
    Device,
    ImageState,
    LabelAttribute,
    LabelsInEach,
)
from wardround_common.shell.imports import at_once
from wardround_simulation.cli import (
    Engine,
    HospitalsDir,
    PartitionHow,
    PoolDir,
    Split,
    WorkerCount,
    hospitals_from,
)


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
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Folder of the released model that the studies start from.", show_default=False
        ),
    ] = None,
    labels: LabelsInEach = "",
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
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

    from wardround_common.shell.stopping import stopped_with
    from wardround_common.study.settings import parse_grids, parse_seeds

    with at_once():
        from wardround_simulation.door.sweeping import sweep as run_all
        from wardround_simulation.sweep import NUMBERS, PICTURE, TABLE, table

    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(Text(line, style="yellow" if line.startswith("! ") else ""), soft_wrap=True)

    with stopped_with(lambda: "Finished runs are kept. Run the same command again to continue."):
        found = run_all(
            studies,
            hospitals_from(hospitals, pool, split, partition),
            parse_grids(settings or ()),
            None if seeds is None else parse_seeds(seeds),
            out=out,
            workers=workers,
            device=device,
            baselines=baselines,
            labels=labels,
            label_attribute=label_attribute,
            allow=allow or (),
            confirm_patients=confirm_patients or (),
            engine=engine,
            state=state,
            start=start,
            tell=tell,
        )
    head, *rows = table(found.groups)
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for number, word in enumerate(head):
        drawn.add_column(Text(word), justify="left" if number == 0 else "right")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
    folder = found.folder
    Console().print(f"Table:   {folder / TABLE}, {folder / NUMBERS}\nPicture: {folder / PICTURE}", soft_wrap=True)
