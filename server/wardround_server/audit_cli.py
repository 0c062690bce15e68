"""``wardround coordinator audit``: what came in, what went out, who approved it. What it needs is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.command_options import Follow, Heads, Last, LinesAsJson, LogsAsJson
from wardround_common.default_command import ShowByDefault

app = typer.Typer(cls=ShowByDefault, add_completion=False, suggest_commands=False, rich_markup_mode=None)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's data folder.", show_default=False)]


@app.command("show")
def show_last(
    folder: Folder,
    last: Last = 20,
    follow: Follow = False,
    as_json: LinesAsJson = False,
) -> None:
    """Show the last entries of the coordinator's audit log: what 'audit DIR' alone does."""
    from wardround_common.audit.commands import show
    from wardround_common.audit.log import NAME

    show(folder / NAME, last, follow, as_json, typer.echo)


@app.command()
def verify(
    folder: Folder,
    head: Heads = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A hospital's log, as it exported it.", show_default=False),
    ] = None,
    their_head: Annotated[
        list[str] | None,
        typer.Option(metavar="HEAD", help="A head that this hospital gave out earlier.", show_default=False),
    ] = None,
    as_json: LogsAsJson = False,
) -> None:
    """Check every entry of the log; with --against also that a hospital's log tells of the same messages.

    It finds what was edited, removed, moved, put in or cut off. What somebody with the coordinator's key wrote anew
    shows only against a head that was given out before, or against a hospital's log.
    """
    from contextlib import suppress

    from wardround_common.audit.commands import report, report_against
    from wardround_common.errors import StorageError
    from wardround_server.coordinator_audit import coordinator_log, hospital_of, ourselves
    from wardround_server.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    log = coordinator_log(place)
    with suppress(StorageError):  # what is wrong is said below
        log.settle()
    found = report(ourselves(place), log.folder, head or [], as_json, typer.echo)
    if against is not None:
        other = hospital_of(place, against)
        report_against(
            ourselves(place)._replace(peer=other.who), found, other, against, their_head or [], as_json, typer.echo
        )


@app.command()
def export(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.", show_default=False)],
) -> None:
    """Write the whole log to one file, for a hospital to check: it names all hospitals, studies and runs."""
    from wardround_server.coordinator_audit import coordinator_log
    from wardround_server.coordinator_folder import CoordinatorFolder

    coordinator_log(CoordinatorFolder(folder)).export(file)
    typer.echo(f"Wrote {file}. A hospital checks it with: wardround hospital audit verify --against FILE")


@app.command("head")
def show_head(folder: Folder) -> None:
    """Show how far the log has come, signed: give it to somebody, or write it down, so that none can set it back."""
    from wardround_server.coordinator_audit import coordinator_log
    from wardround_server.coordinator_folder import CoordinatorFolder

    head = coordinator_log(CoordinatorFolder(folder)).settle()
    typer.echo(head.text() if head else "")
