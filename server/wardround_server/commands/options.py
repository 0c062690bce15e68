"""What several commands of a coordinator take and give."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wardround_server.commands.completing import runs as runs_here

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's own folder.", show_default=False)]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Name of the run; same as the name of its study.",
        show_default=False,
        autocompletion=runs_here,
    ),
]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def echo_json(value: object) -> None:
    """Print a value as JSON, for other programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
