"""``wardround hospital ledger``: verify, restore or rebuild the privacy ledger. Imports are deferred."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_common.counting import count
from wardround_common.shell.command_options import AsJson, Heads
from wardround_common.shell.commands import Commands, confirm, say

app = Commands("Verify, restore or rebuild the privacy ledger, or print its head.")


@app.command("verify")
def verify_ledger(
    state: State = None,
    head: Heads = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry of the ledger: its signature, its position, and the patients it lists by pseudonym.

    Finds entries that were edited, removed, moved, inserted or cut off. A folder restored as a whole from an older copy
    passes until the service has reached the coordinator, or a head that was given out earlier is given.
    """
    from wardround_client.spending.ledger.chain import WAYS_OUT, Head
    from wardround_client.spending.ledger.store import existing_ledger, read_head, read_rows
    from wardround_client.spending.ledger.verify import verify
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.identity_file import read_identity
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import StorageError, listed

    folder = HospitalFolder(state or hospital_state()).path
    identity = read_identity(folder)
    public = identity.public
    given = [Head.parse(text) for text in head or ()]
    kept = read_head(folder)
    entries, cohorts = read_rows(folder)
    found = verify(entries, cohorts, public, [*given, *([kept] if kept else [])])
    faults = found.faults if kept else (*found.faults, "the head next to the ledger was removed")
    if not faults:
        try:
            existing_ledger(folder, identity)
        except StorageError as error:  # whole, and older than what the audit log tells, or of another key of patients
            faults = (error.what,)
    if as_json:
        answer = {"entries": found.entries, "cohorts": found.cohorts, "whole": not faults, "faults": faults}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    if faults:
        raise StorageError(
            f"the ledger cannot be trusted:\n{listed(faults)}",
            where=str(folder),
            do=WAYS_OUT,
        )
    if not as_json:
        typer.echo(
            f"The ledger is intact: {count(found.entries, 'entry', 'entries')}, {count(found.cohorts, 'cohort')}, "
            "signed by this hospital."
        )


@app.command("head")
def show_head(state: State = None) -> None:
    """Print the signed head of the ledger. Keep it elsewhere: it exposes a ledger that was rolled back."""
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.identity_file import read_identity
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state()).path
    ledger = existing_ledger(folder, read_identity(folder))
    typer.echo(ledger.head.text() if ledger.head else "")


@app.command("restore")
def restore_ledger(
    copy: Annotated[
        Path, typer.Argument(metavar="COPY", help="Copy of this hospital's own folder.", show_default=False)
    ],
    state: State = None,
    head: Heads = None,
) -> None:
    """Verify the ledger in a copy of this hospital's folder and restore it; the current ledger is set aside.

    If the audit log or a head shows more than the copy records, nothing is trained until the ledger is rebuilt from it.
    """
    from wardround_client.hospital.recovery import restore
    from wardround_client.spending.ledger.chain import Head
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    done = restore(folder, HospitalFolder(copy).path, [Head.parse(text) for text in head or ()])
    typer.echo(f"Restored the ledger: {count(done.entries, 'entry', 'entries')}, signed by this hospital.")
    if done.missing:
        lacks = "\n".join(f"  · {what}" for what in done.missing)
        say(
            f"It does not record everything that was spent since:\n{lacks}\n"
            "No study is trained before you run: wardround hospital ledger rebuild"
        )


@app.command("rebuild")
def rebuild_ledger(
    state: State = None,
    at_least: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="EPSILON",
            help="Charge every patient at least this much, if you know of more than the audit log shows.",
        ),
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Rebuild a lost ledger: charge every patient the most that the audit log shows for any one of them.

    Ends the studies in which this hospital has trained, if any of their rounds were lost from the ledger; all of them
    if the whole folder was rolled back, which needs --at-least.
    """
    import math

    from wardround_client.hospital.recovery import plan_rebuild, rebuild
    from wardround_client.spending.budget_words import shown
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.storage import alone_in

    folder = HospitalFolder(state or hospital_state())
    planned = plan_rebuild(folder, at_least)
    with alone_in(folder.path):  # said before anybody is asked
        pass
    delta, most = planned.bound.delta, shown(planned.bound.epsilon if math.isfinite(planned.bound.epsilon) else None)
    rests_on = (
        f"no patient has exceeded epsilon {most}, as you state: the audit log may be as old as the ledger."
        if planned.rolled_back
        else "the audit log records every round that this hospital has trained, from its first study on."
    )
    typer.echo(
        f"The audit log records {count(planned.rounds, 'charged round')}. From now on every patient of this hospital, "
        f"whether or not they took part, counts as having spent epsilon {most} "
        f"(delta {delta:g}) before; a later study adds to it, epsilon and delta.\n"
        f"{count(len(planned.studies), 'study ends', 'studies end')} here. "
        f"The ledger {'continues' if planned.continues else 'restarts'}.\n"
        f"This rests on one assumption: {rests_on}"
    )
    if not yes:
        confirm("Rebuild the ledger this way?", "Not rebuilt: nothing was changed, and no study is trained.")
    rebuild(folder, planned)
    say("Rebuilt. See: wardround hospital budget")
