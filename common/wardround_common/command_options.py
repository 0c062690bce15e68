"""Options that commands of the hospital and of the coordinator have alike."""

from __future__ import annotations

from typing import Annotated

import typer

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        metavar="PORT",
        help="Serve figures for Prometheus at http://127.0.0.1:PORT/metrics, on this machine only.",
        show_default=False,
    ),
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log one JSON object a line.")]
Last = Annotated[int, typer.Option(min=1, metavar="N", help="So many entries.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with each new one, until Ctrl-C.")]
LinesAsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
LogsAsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each log.")]
Heads = Annotated[
    list[str] | None,
    typer.Option(metavar="HEAD", help="A head that was given out earlier; may be repeated.", show_default=False),
]
