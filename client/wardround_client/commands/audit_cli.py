"""``wardround hospital audit``: what came in, what went out, who approved it. Imports are deferred."""

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

State = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="The hospital's own folder; by default in this user's data directory.", show_default=False
    ),
]


@app.command("show")
def show_last(
    state: State = None,
    last: Last = 20,
    follow: Follow = False,
    as_json: LinesAsJson = False,
) -> None:
    """Show the last entries of the audit log; 'audit' alone does the same."""
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.audit.commands import show

    folder = HospitalFolder(state or hospital_state())
    folder.check_set_up()
    show(folder.audit, last, follow, as_json, typer.echo)


@app.command()
def verify(
    state: State = None,
    head: Heads = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare with the coordinator's log, as exported by the coordinator.",
            show_default=False,
        ),
    ] = None,
    their_head: TheirHeads = None,
    as_json: LogsAsJson = False,
) -> None:
    """Check every entry of the audit log; with --against, also check that both logs record the same messages.

    Finds entries that were edited, removed, moved, inserted or cut off. A log rewritten with this hospital's key
    passes, except against a head that was given out earlier or against the coordinator's log.
    """
    from wardround_client.hospital.hospital_audit import ourselves, the_coordinator
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.audit.commands import report, report_against

    place = state or hospital_state()
    own = ourselves(place)
    found = report(own, HospitalFolder(place).audit, head or [], as_json, typer.echo)
    if against is not None:
        report_against(own, found, the_coordinator(place), against, their_head or [], as_json, typer.echo)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)],
    state: State = None,
) -> None:
    """Export the whole audit log for the coordinator to check. It names studies and epsilon, but no patient."""
    from wardround_client.hospital.hospital_audit import hospital_log
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    hospital_log(HospitalFolder(state or hospital_state())).export(file)
    typer.echo(f"Wrote {file}. The coordinator checks it with: wardround coordinator audit verify DIR --against FILE")


@app.command("head")
def show_head(state: State = None) -> None:
    """Print the signed head of the audit log. Keep it elsewhere: it exposes a log that was rolled back."""
    from wardround_client.hospital.hospital_audit import hospital_log
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.audit.commands import show_head as show_log_head

    show_log_head(hospital_log(HospitalFolder(state or hospital_state())), typer.echo)
