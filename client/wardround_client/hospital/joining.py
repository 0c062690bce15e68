"""How a hospital joins: it creates keys and a request, and accepts the invitation sent in reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from wardround_client.state.hospital_folder import HospitalFolder, HospitalSettings
from wardround_client.state.identity_file import make_identity
from wardround_common.audit.pending import Change, Written
from wardround_common.documents.enrolment import FASTEST_S, Invitation, Request, check_invitation_clock
from wardround_common.errors import CHECK_FILE, DataError, MessageError, StorageError
from wardround_common.folder_owner import claim
from wardround_common.keys.certificates import check_valid, read_certificate
from wardround_common.keys.key_files import private_folder, set_aside, write_key
from wardround_common.shell.settings_file import settings_text
from wardround_common.storage import write_atomically
from wardround_common.study.roster import check_name
from wardround_common.study.template import toml_value

KeepRequest = Callable[[Request, Change], None]
KeepInvitation = Callable[[Invitation, Change], None]
"""Makes the change, and tells the audit log of it: both or neither."""


@dataclass(frozen=True)
class Accepted:
    """An invitation that was found to be for this hospital; ``new`` when it was not stored before."""

    invitation: Invitation
    new: bool


def begin(
    folder: HospitalFolder,
    name: str,
    data: Path,
    labels: Path | None,
    now: datetime,
    switches: Mapping[str, object] | None = None,
    keep: KeepRequest | None = None,
) -> tuple[Request, bool]:
    """Make what is missing of keys, settings and request; give the request, and whether it was made just now.

    ``keep`` is given a new request and the change that keeps it, for the audit log to tell of it.

    Raises:
        StudyError: a hospital cannot be called so.
        DataError: the images or the labels are not there.
        StorageError: other settings are there, or something cannot be written or used.
    """
    check_name(name)
    kept: dict[str, object] = {}
    if folder.settings_file.exists():
        there = folder.settings()
        kept = there.switches | ({"pacs": str(there.pacs)} if there.pacs else {})
    settings = HospitalSettings.model_validate(
        {"name": name, "data": _there(data), "labels": labels and _there(labels)} | kept | dict(switches or {})
    )
    if not settings.data.is_dir():
        what = "this is a file, and images lie in a folder" if settings.data.exists() else "there is no such folder"
        raise DataError(what, where=str(data), do=CHECK_FILE)
    if settings.labels is not None and not settings.labels.is_file():
        what = (
            "this is a folder, and no table of labels"
            if settings.labels.is_dir()
            else "there is no such table of labels"
        )
        raise DataError(what, where=str(labels), do=CHECK_FILE)
    claim(folder.path, "hospital")
    _keep_settings(folder, settings)
    make_identity(folder.path)
    if not folder.node_key.exists():
        write_key(folder.node_key, generate_private_key(SECP256R1()))
    if folder.request_file.exists():
        request = folder.request()
        from_the_future = request.made > now + timedelta(seconds=FASTEST_S)  # the clock was fast then, and is mended
        if folder.answers(request) and not from_the_future:
            return request, False
    node_key, _ = folder.node_keys()
    request = Request.make(settings.name, folder.identity(), node_key, now)
    change = Change((Written(folder.request_file, request.content()),))
    if keep is None:
        change.make()
    else:
        keep(request, change)
    return request, True


def replace_keys(folder: HospitalFolder, now: datetime, *, identity: bool) -> None:
    """Set the node key aside, and the identity too if so asked; :func:`begin` then makes others.

    Another identity is another hospital to every study, and begins another audit log; the old one is set aside whole.
    The coordinator that this hospital follows stays the same.

    Raises:
        StorageError: the files cannot be moved.
    """
    paths = [folder.node_key, folder.request_file, *([folder.identity_key, folder.audit] if identity else [])]
    set_aside(paths, folder.replaced / f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}")


def examine(folder: HospitalFolder, path: Path, *, now: datetime | None = None) -> Accepted:
    """Check an invitation without storing it, so that a person can compare the fingerprint before.

    Raises:
        MessageError: it is damaged, for another hospital, for an earlier request, from another coordinator than the one
            that this hospital follows, older than the one that it accepted, or its authority is not valid now.
        StorageError: a file cannot be read, or this hospital's keys were replaced.
    """
    now = now or datetime.now(UTC)
    invitation = Invitation.read(path)
    folder.check_is_for_us(invitation, str(path))
    check_invitation_clock(invitation, now)
    check_valid(read_certificate(invitation.authority.encode()), now, "the coordinator's authority")
    if not folder.invitation_file.exists():
        return Accepted(invitation, new=True)
    before = Invitation.read(folder.invitation_file)
    if before.identity != invitation.identity:
        raise MessageError(
            f"this invitation is from another coordinator ({invitation.fingerprint}) than the one that this hospital "
            f"follows ({before.fingerprint})",
            where=str(path),
            do=f"Compare the fingerprint by telephone. If it is right, move {folder.invitation_file} away first.",
        )
    if invitation.made < before.made:
        raise MessageError(
            "this invitation is older than the one that this hospital accepted",
            where=str(path),
            do="Ask the coordinator for its latest invitation.",
        )
    return Accepted(invitation, new=invitation != before)


def accept(
    folder: HospitalFolder, path: Path, *, now: datetime | None = None, keep: KeepInvitation | None = None
) -> Accepted:
    """Check an invitation and store it: from here on this hospital follows that coordinator.

    ``keep`` is given a new invitation and the change that keeps it, for the audit log to tell of it.

    Raises:
        MessageError, StorageError: as :func:`examine`; or it cannot be written.
    """
    found = examine(folder, path, now=now)
    # First, and each time: where there is an invitation there is its authority, wherever a crash fell.
    authority = Written(folder.ca_certificate, found.invitation.authority.encode())
    if not found.new:
        Change((authority,)).make()
        return found
    change = Change((authority, Written(folder.invitation_file, found.invitation.content())))
    if keep is None:
        change.make()
    else:
        keep(found.invitation, change)
    return found


def _keep_settings(folder: HospitalFolder, settings: HospitalSettings) -> None:
    if folder.settings_file.exists():
        there = folder.settings()
        if there != settings:
            raise StorageError(
                f"this hospital is already set up differently: {_said(there)}",
                where=str(folder.settings_file),
                do="Give the same name and folders, or edit this file; a different name needs a different --state.",
            )
        return
    private_folder(folder.path)
    heading = "Who this hospital is and where its images lie."
    paths = {"name": settings.name, "data": str(settings.data), "labels": settings.labels and str(settings.labels)}
    content = settings_text(heading, paths | settings.switches) + _MORE_KEYS.encode()
    write_atomically(folder.settings_file, content, private=True)


_MORE_KEYS = """
# Keys that may be added above. 'wardround hospital approve STUDY' shows them, and the audit log notes them.
#   labels = "/PATH/TABLE.csv"       a table of labels elsewhere than labels.csv in the folder of images
#   label_attribute = "KEYWORD"      the DICOM attribute that holds the label, instead of a table
#   allow = ["private-tags"]         take files in although the scan found this: one of the words after --allow
#   confirm_patients = ["folder"]    confirm how patients are guessed where files name none: each folder holds the
#                                    images of one person, and no person has two; also subject, study, file,
#                                    shared-study
#   formats = ["PACKAGE:PART@SHA256"]  read files of a format of your own, by a plug-in (docs/plugins.md)
#   device = "cpu"                   what trains: cpu, cuda, cuda:1 (the second card), mps; without it the first CUDA
#                                    card, or else the CPU
#   pacs = "/PATH/pacs.toml"         how the archive is reached; without it pacs.toml beside this file (docs/pacs.md)
"""


def _said(settings: HospitalSettings) -> str:
    labels = f", labels {settings.labels}" if settings.labels else ""
    switches = "".join(f", {key} {toml_value(value)}" for key, value in settings.switches.items())
    return f"name {settings.name}, data {settings.data}{labels}{switches}"


def _there(path: Path) -> str:
    """Return the whole path as it will stand in the settings.

    Raises:
        DataError: it has bytes that are no text.
    """
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(
            "this path has bytes that are not UTF-8 text", where=repr(text), do="Rename the folder, or link to it."
        ) from None
    return text
