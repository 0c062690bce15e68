"""``wardround compare``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wardround_common.shell.command_options import AsJson


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of finished runs.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Compare finished runs: settings that differ, headline metrics with intervals, epsilon, time."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from wardround_common.results.comparison import compare as compare_runs

    found = compare_runs(runs)
    if as_json:
        typer.echo(json.dumps(found.data(), indent=1, ensure_ascii=False))
        return
    head, *rows = found.rows()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, word in enumerate(head):
        table.add_column(Text(word), justify="left" if number == 0 else "right", overflow="fold")
    for place, row in enumerate(rows):
        table.add_row(*map(Text, row), end_section=place == len(found.differ) - 1)
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(Text(f"! {note}", style="yellow"), soft_wrap=True)
