"""``wardround hospital audit``: what came in, what went out, who approved it. What it needs is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.command_options import Follow, Heads, Last, LinesAsJson, LogsAsJson
from wardround_common.default_command import ShowByDefault

app = typer.Typer(cls=ShowByDefault, add_completion=False, suggest_commands=False, rich_markup_mode=None)

State = Annotated[
    Path | None,
    typer.Option(
        help="The hospital's own folder. Default: this user's data folder.", metavar="DIR", show_default=False
    ),
]


@app.command("show")
def show_last(
    state: State = None,
    last: Last = 20,
    follow: Follow = False,
    as_json: LinesAsJson = False,
) -> None:
    """Show the last entries of this hospital's audit log: what 'audit' alone does."""
    from wardround_client.hospital_folder import HospitalFolder
    from wardround_client.state_folder import hospital_state
    from wardround_common.audit.commands import show

    show(HospitalFolder(state or hospital_state()).audit, last, follow, as_json, typer.echo)


@app.command()
def verify(
    state: State = None,
    head: Heads = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The coordinator's log, as it exported it.", show_default=False),
    ] = None,
    their_head: Annotated[
        list[str] | None,
        typer.Option(metavar="HEAD", help="A head that the coordinator gave out earlier.", show_default=False),
    ] = None,
    as_json: LogsAsJson = False,
) -> None:
    """Check every entry of the log; with --against also that the coordinator's log tells of the same messages.

    It finds what was edited, removed, moved, put in or cut off. What somebody with this hospital's key wrote anew shows
    only against a head that was given out before, or against the coordinator's log.
    """
    from contextlib import suppress

    from wardround_client.hospital_audit import hospital_log, ourselves, the_coordinator
    from wardround_client.hospital_folder import HospitalFolder
    from wardround_client.state_folder import hospital_state
    from wardround_common.audit.commands import report, report_against
    from wardround_common.errors import StorageError

    place = state or hospital_state()
    own = ourselves(place)
    log = hospital_log(HospitalFolder(place))
    with suppress(StorageError):  # what is wrong is said below
        log.settle()
    found = report(own, log.folder, head or [], as_json, typer.echo)
    if against is not None:
        report_against(own, found, the_coordinator(place), against, their_head or [], as_json, typer.echo)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.", show_default=False)],
    state: State = None,
) -> None:
    """Write the whole log to one file, for the coordinator to check: it names studies and epsilon, and no patient."""
    from wardround_client.hospital_audit import hospital_log
    from wardround_client.hospital_folder import HospitalFolder
    from wardround_client.state_folder import hospital_state

    hospital_log(HospitalFolder(state or hospital_state())).export(file)
    typer.echo(f"Wrote {file}. The coordinator checks it with: wardround coordinator audit verify DIR --against FILE")


@app.command("head")
def show_head(state: State = None) -> None:
    """Show how far the log has come, signed: give it to somebody, or write it down, so that none can set it back."""
    from wardround_client.hospital_audit import hospital_log
    from wardround_client.hospital_folder import HospitalFolder
    from wardround_client.state_folder import hospital_state

    head = hospital_log(HospitalFolder(state or hospital_state())).settle()
    typer.echo(head.text() if head else "")
