"""``wardround hospital`` budget and statement: what its patients spent. Imports wait for a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_client.commands.deciding_cli import StudyWord
from wardround_common.counting import count
from wardround_common.shell.command_options import AsJson


def budget(
    state: State = None,
    as_json: AsJson = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Also write the budget as an HTML page.", show_default=False),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            metavar="DELTA",
            help="Count epsilon at this delta; by default the policy's, otherwise 1e-5.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what patients have spent, by study, and what open studies reserve. No patient is named."""
    from rich.console import Console

    from wardround_client.commands.budget_screen import page, screen
    from wardround_client.spending.budget import state_budget
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.spending.policy import DEFAULT_DELTA, POLICY_NAME, read_policy
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.identity_file import read_identity
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import PrivacyError
    from wardround_common.storage import write_atomically

    if delta is not None and not 1e-10 <= delta <= 1e-2:
        raise PrivacyError(f"invalid delta {delta:g}: it must be from 1e-10 to 0.01")
    folder = HospitalFolder(state or hospital_state()).path
    ledger = existing_ledger(folder, read_identity(folder))
    rules = read_policy(folder / POLICY_NAME) if (folder / POLICY_NAME).exists() else None
    if delta is None:
        delta = rules.budget.delta if rules else DEFAULT_DELTA
    statement = state_budget(ledger, delta, rules)
    if picture is not None:
        write_atomically(picture, page(statement).encode(), private=True)
    if as_json:
        typer.echo(json.dumps(statement.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    Console().print(screen(statement))
    if picture is not None:
        typer.echo(f"Picture: {picture}")


def statement(
    study: StudyWord,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the statement here instead of NAME-DIGEST.statement.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a signed statement of the epsilon that a study has cost this hospital's patients. No patient is named.

    Epsilon is counted at the study's own delta; if it has none, at the policy's, otherwise at 1e-5.
    """
    from datetime import UTC, datetime

    from wardround_client.hospital.hospital_audit import note_statement
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.spending.parts import unit_of
    from wardround_client.spending.statement import delta_for, find_study, state_epsilon
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.documents.enrolment import file_stem
    from wardround_common.documents.given_out import give_out
    from wardround_common.errors import StorageError
    from wardround_common.storage import cannot_be_written

    folder = HospitalFolder(state or hospital_state())
    ledger = existing_ledger(folder.path, folder.identity())
    digest = find_study(ledger.books, study)
    delta, name = delta_for(folder, ledger.books, digest), ledger.books.approved[digest].name
    made = state_epsilon(ledger, folder.settings().name, digest, delta, datetime.now(UTC))
    written = out or Path(f"{file_stem(made.hospital)}-{digest[:12]}.statement")
    try:
        note_statement(folder, made)
    except StorageError as error:
        if not cannot_be_written(error):  # the hospital's own folder: what cannot be noted is not given out
            raise
        typer.echo("This folder is a copy that cannot be written: its audit log does not record this.", err=True)
    give_out(written, made)
    if as_json:
        answer = made.model_dump(mode="json") | {"fingerprint": made.fingerprint, "statement": str(written)}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    spent = "without bound" if made.epsilon is None else f"at most epsilon {made.epsilon:.3f} (delta {made.delta:g})"
    typer.echo(
        f"{made.hospital} states for {name} {digest[:12]}: {spent}, "
        f"{count(made.rounds_charged, unit_of(name))} charged, {made.rounds_confirmed} confirmed.\n\n"
        f"fingerprint  {made.fingerprint}\n\n"
        f"Wrote {written}: the recipient should compare this fingerprint with the roster's, or by telephone."
    )
