"""A hospital's audit log: where it is, what is noted in it, and by whose keys it and the coordinator's are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.commands import Owner
from wardround_common.audit.entries import Fact
from wardround_common.audit.log import AuditLog
from wardround_common.audit.passage import COORDINATOR
from wardround_common.audit.pending import Change
from wardround_common.audit.recorder import SHORT
from wardround_common.documents.enrolment import Invitation, Request
from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.documents.proposal import sign_approval
from wardround_common.errors import StorageError
from wardround_common.study.file import Study

Note = Callable[[str, Mapping[str, Fact]], None]
"""Adds an entry; what it tells of must wait until this returns."""


def hospital_log(folder: HospitalFolder) -> AuditLog:
    """Return the hospital's log.

    Raises:
        StorageError: this hospital has not been set up here.
    """
    return AuditLog(folder.audit, folder.identity(), "hospital", folder.settings().name)


def about(study: Study) -> dict[str, Fact]:
    """Say which study an entry is about."""
    return {"study": study.digest()[:SHORT], "name": study.study.name}


def note_approval(
    folder: HospitalFolder, study: Study, change: Change | None = None, switches: Mapping[str, Fact] | None = None
) -> None:
    """Note that the hospital's people approved a study, with the digest of the signature that says so.

    ``change`` is what keeps the decision: it is made with the entry, or neither is. ``switches`` says what of the
    hospital's own settings decides which images and patients it brings. Where the hospital only evaluates, the entry is
    another one: no ledger has to know of it.
    """
    approval = sign_approval(folder.identity(), study, folder.settings().name)
    facts = about(study) | {"approval": approval.signature_digest} | dict(switches or {})
    trains = study.trains(folder.settings().name)
    hospital_log(folder).note("study approved" if trains else "evaluation approved", facts, change)


def note_refusal(folder: HospitalFolder, study: Study, approved: bool, change: Change | None = None) -> None:
    """Note that they refused it, or took an approval back; ``change`` as in :func:`note_approval`."""
    hospital_log(folder).note("study withdrawn" if approved else "study refused", about(study), change)


def note_against_policy(folder: HospitalFolder, study: Study) -> None:
    """Note that the policy does not allow a study that they wanted to approve."""
    hospital_log(folder).note("study against policy", about(study))


def note_closing(folder: HospitalFolder, study: str, name: str) -> None:
    """Note that they took part in a study for the last time; the ledger of a simulation has no log next to it."""
    if folder.settings_file.exists():
        hospital_log(folder).note("study closed", {"study": study[:SHORT], "name": name})


def note_statement(folder: HospitalFolder, statement: EpsilonStatement) -> None:
    """Note which statement is about to be given out."""
    facts: dict[str, Fact] = {"study": statement.study[:SHORT], "statement": statement.digest()}
    hospital_log(folder).note("statement given", facts)


def note_own_model(folder: HospitalFolder, study: str, number: int, digest: str) -> None:
    """Note which model of the hospital's own is about to be written, with its part as of which round.

    ``digest`` is the SHA-256 of its weights' file. A state folder without a hospital, as a simulation's, has no log.
    """
    if folder.settings_file.exists():
        facts: dict[str, Fact] = {"study": study[:SHORT], "round": number, "model": digest}
        hospital_log(folder).note("own model written", facts)


def note_request(folder: HospitalFolder, request: Request, change: Change) -> None:
    """Note with which keys this hospital is about to ask to be enrolled, and keep the request."""
    facts = {"fingerprint": request.fingerprint, "request": request.digest()}
    hospital_log(folder).note("request made", facts, change)


def note_invitation(folder: HospitalFolder, invitation: Invitation, change: Change) -> None:
    """Note whom this hospital follows from now on, and keep the invitation."""
    facts = {"address": invitation.address, "fingerprint": invitation.fingerprint, "invitation": invitation.digest()}
    hospital_log(folder).note("invitation accepted", facts, change)


def ourselves(state: Path) -> Owner:
    """Say whose the log in a state folder is."""
    folder = HospitalFolder(state)
    return Owner(folder.settings().name, folder.identity().public, COORDINATOR)


def the_coordinator(state: Path) -> Owner:
    """Say by which key the coordinator's log is checked: that of the invitation.

    Raises:
        StorageError: there is none.
    """
    folder = HospitalFolder(state)
    if not folder.invitation_file.exists():
        raise StorageError("this hospital has accepted no invitation", where=str(folder.invitation_file))
    return Owner("the coordinator", Invitation.read(folder.invitation_file).public, folder.settings().name)
