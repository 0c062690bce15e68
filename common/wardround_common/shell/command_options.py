"""Options that several commands share, with the same names on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        metavar="PORT",
        help="Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics, on this machine only.",
        show_default=False,
    ),
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Write the log as one JSON object per line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LinesAsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
LogsAsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per log.")]
Compared = Annotated[bool, typer.Option("--yes", help="Do not ask: the fingerprints have already been compared.")]
Last = Annotated[int, typer.Option(min=1, metavar="N", help="Number of entries to show.")]
Follow = Annotated[bool, typer.Option("--follow", help="Keep printing new entries until Ctrl-C.")]
Heads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HEAD",
        help="Check against a head that was given out earlier; repeatable.",
        show_default=False,
    ),
]
TheirHeads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HEAD",
        help="Check the other log against a head that its owner gave out earlier; repeatable.",
        show_default=False,
    ),
]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Study file.", show_default=False)]
