"""``wardround coordinator audit``: what came in, what went out, who approved it. Imports are deferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.shell.command_options import Follow, Heads, Last, LinesAsJson, LogsAsJson, TheirHeads
from wardround_common.shell.commands import Commands, ShowByDefault

app = Commands(
    "Show, verify or export the signed audit log of what came in and what went out.",
    ShowByDefault,
    no_args_is_help=False,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's own folder.", show_default=False)]


@app.command("show")
def show_last(
    folder: Folder,
    last: Last = 20,
    follow: Follow = False,
    as_json: LinesAsJson = False,
) -> None:
    """Show the last entries of the audit log; 'audit DIR' alone does the same."""
    from wardround_common.audit.commands import show
    from wardround_common.audit.log import NAME

    show(folder / NAME, last, follow, as_json, typer.echo)


@app.command()
def verify(
    folder: Folder,
    head: Heads = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Compare with a hospital's log, as exported by the hospital.", show_default=False
        ),
    ] = None,
    their_head: TheirHeads = None,
    as_json: LogsAsJson = False,
) -> None:
    """Check every entry of the audit log; with --against, also check that both logs record the same messages.

    Finds entries that were edited, removed, moved, inserted or cut off. A log rewritten with the coordinator's key
    passes, except against a head that was given out earlier or against a hospital's log.
    """
    from wardround_common.audit.commands import report, report_against
    from wardround_server.service.coordinator_audit import coordinator_log, hospital_of, ourselves
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    found = report(ourselves(place), coordinator_log(place).folder, head or [], as_json, typer.echo)
    if against is not None:
        other = hospital_of(place, against)
        report_against(
            ourselves(place)._replace(peer=other.who), found, other, against, their_head or [], as_json, typer.echo
        )


@app.command()
def export(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)],
) -> None:
    """Export the whole audit log for a hospital to check. It names all hospitals, studies and runs."""
    from wardround_server.service.coordinator_audit import coordinator_log
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    coordinator_log(CoordinatorFolder(folder)).export(file)
    typer.echo(f"Wrote {file}. A hospital checks it with: wardround hospital audit verify --against FILE")


@app.command("head")
def show_head(folder: Folder) -> None:
    """Print the signed head of the audit log. Keep it elsewhere: it exposes a log that was rolled back."""
    from wardround_common.audit.commands import show_head as show_log_head
    from wardround_server.service.coordinator_audit import coordinator_log
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    show_log_head(coordinator_log(CoordinatorFolder(folder)), typer.echo)
