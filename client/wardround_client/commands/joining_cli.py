"""``wardround hospital`` init, identity and accept: keys, a request, an invitation. Imports wait for a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import Allow, AsJson, Compared, ConfirmPatients, LabelAttribute, Labels
from wardround_common.shell.commands import confirm, say


def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the hospital, as others will see it.", show_default=False)
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds the images.", show_default=False)],
    labels: Labels = None,
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the request here instead of NAME.request.", show_default=False),
    ] = None,
    new_node_key: Annotated[
        bool, typer.Option("--new-node-key", help="Replace the connection's key; the identity stays the same.")
    ] = False,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Replace both keys: every study will treat this as a different hospital.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set up this hospital: create its keys, which stay here, and write a request to the coordinator."""
    from contextlib import nullcontext
    from datetime import UTC, datetime
    from functools import partial

    from wardround_client.hospital.hospital_audit import note_request
    from wardround_client.hospital.hospital_source import check_switches
    from wardround_client.hospital.joining import begin, replace_keys
    from wardround_client.spending.ledger.store import LEDGER_NAME
    from wardround_client.spending.policy import POLICY_NAME, policy_text
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.documents.enrolment import file_stem
    from wardround_common.documents.given_out import give_out
    from wardround_common.folder_owner import check_owner
    from wardround_common.storage import alone_in, write_atomically

    folder = HospitalFolder(state or hospital_state())
    now = datetime.now(UTC)
    if labels is not None and label_attribute is not None:
        raise typer.BadParameter("labels come from a table or from an attribute", param_hint="--label-attribute")
    check_switches(allow or (), label_attribute, confirm_patients or ())
    given = {
        "label_attribute": label_attribute,
        "allow": allow,
        "confirm_patients": confirm_patients,
        "formats": formats,
    }
    switches = {key: value for key, value in given.items() if value}
    check_owner(folder.path, "hospital")
    replaces = new_node_key or new_keys
    before = folder.request() if folder.request_file.exists() and replaces else None
    # A service that runs holds the old keys, and would take the new audit log for one that somebody cut short.
    with alone_in(folder.path) if replaces else nullcontext():
        if replaces:
            replace_keys(folder, now, identity=new_keys)
        request, new = begin(folder, name, data, labels, now, switches, partial(note_request, folder))
    if not (folder.path / POLICY_NAME).exists():
        write_atomically(folder.path / POLICY_NAME, policy_text().encode(), private=True)
    written = out or Path(f"{file_stem(request.hospital)}.request")
    over = " over the earlier request" if give_out(written, request, replaces=before) else ""
    if as_json:
        answer = {"hospital": request.hospital, "fingerprint": request.fingerprint, "request": str(written), "new": new}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    say(
        f"{'Set up' if new else 'This is'} {request.hospital}; its private keys stay in {folder.path}.\n\n"
        f"fingerprint  {request.fingerprint}\n\n"
        f"Wrote {written}{over}: send it to the coordinator, and read this fingerprint to them by telephone.\n"
        f"Read {folder.path / POLICY_NAME}, and change what does not suit this hospital.\n"
        f"{'' if label_attribute else _labels_missing(data, labels)}"
        f"{_REBUILD if new_keys and (folder.path / LEDGER_NAME).exists() else ''}"
        "Once you have the invitation, run: wardround hospital serve INVITATION"
    )


_REBUILD = (
    "The ledger of what patients have spent is signed with the old keys. Before you start the service, so that "
    "studies can be trained, run: wardround hospital ledger rebuild\n"
)


def _labels_missing(data: Path, labels: Path | None) -> str:
    """Say where labels may come from, if no table of them was named and none lies where one is looked for."""
    from wardround_client.intake.labels import BOXES_FILE, LABELS_FILE

    if labels is not None or any((data / name).is_file() for name in (LABELS_FILE, BOXES_FILE)):
        return ""
    return (
        f"There is no {LABELS_FILE} or {BOXES_FILE} in {data}: put one there or name a "
        "table in hospital.toml (labels = ...), unless "
        "sub-folders are named after a study's classes.\n"
    )


def identity(state: State = None, as_json: AsJson = False) -> None:
    """Show this hospital's name and fingerprint, and its entry in a study's roster."""
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.study.roster import Listed

    folder = HospitalFolder(state or hospital_state())
    listed = Listed.of(folder.settings().name, folder.identity().public)
    if as_json:
        typer.echo(json.dumps(listed.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{listed.name}; its private keys stay in {folder.path}.\n\n"
        f"fingerprint  {listed.fingerprint}\n\n"
        "The coordinator prints this entry for the study file once the hospital is enrolled:\n\n"
        f"{listed.toml()}"
    )


def accept_file(state: Path | None, invitation: Path, yes: bool) -> str:
    """Check an invitation, let its fingerprint be compared if it is new, store it; return the coordinator's address."""
    from functools import partial

    from wardround_client.hospital.hospital_audit import note_invitation
    from wardround_client.hospital.joining import accept, examine
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    found = examine(folder, invitation)
    if found.new and not yes:
        typer.echo(f"The coordinator at {found.invitation.address}\nfingerprint  {found.invitation.fingerprint}")
        confirm(
            "Does the coordinator read this exact fingerprint to you by telephone?",
            "Not accepted: nothing was changed. If the fingerprints differ, somebody may be impersonating the "
            "coordinator: tell its people.",
        )
    return accept(folder, invitation, keep=partial(note_invitation, folder)).invitation.address


def accept_invitation(
    invitation: Annotated[
        Path, typer.Argument(metavar="INVITATION", help="File that the coordinator sent.", show_default=False)
    ],
    state: State = None,
    yes: Compared = False,
) -> None:
    """Accept a coordinator's invitation without serving yet; from now on this hospital uses that coordinator."""
    address = accept_file(state, invitation, yes)
    say(f"Accepted: this hospital uses the coordinator at {address}. Start with: wardround hospital serve")
