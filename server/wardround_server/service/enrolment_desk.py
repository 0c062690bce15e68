"""How a coordinator manages keys and hospitals: begin, renew, enrol, revoke. Each leaves the folder consistent."""

from __future__ import annotations

import enum
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wardround_common.addresses import check_host
from wardround_common.audit.entries import Fact
from wardround_common.audit.pending import Change, Written
from wardround_common.documents.enrolment import Invitation, Request, check_request_clock
from wardround_common.errors import MessageError, StorageError
from wardround_common.folder_owner import claim
from wardround_common.keys.certificates import (
    Authority,
    ServerCertificate,
    check_valid,
    issue_server,
    make_authority,
    pem,
)
from wardround_common.keys.key_files import private_folder, private_pem, read_p256_key, write_key
from wardround_common.lookalike import mixed_scripts, skeleton
from wardround_common.shell.settings_file import settings_text
from wardround_common.storage import no_room_is_said, write_atomically
from wardround_server.service.coordinator_audit import coordinator_log
from wardround_server.state.coordinator_folder import (
    AUTHORITY_KEY,
    CoordinatorFolder,
    CoordinatorSettings,
    Enrolled,
    Revoked,
)


class Standing(enum.Enum):
    """What a request means for the coordinator that received it."""

    NEW = "new"
    SAME = "same"
    NEW_NODE_KEY = "new node key"


def begin(folder: CoordinatorFolder, hosts: Sequence[str], port: int, now: datetime) -> None:
    """Make a coordinator's folder. What a crash left there is completed; no key is ever replaced.

    Raises:
        StorageError: it is complete already, or cannot be written.
        MessageError: a host is not a name or address.
    """
    settings = CoordinatorSettings(hosts=_each_once(hosts), port=port)
    if folder.settings_file.exists():
        raise StorageError(
            "this folder already holds a coordinator",
            where=str(folder.path),
            do="Choose another folder; for other names or a new certificate: wardround coordinator renew "
            f"{shlex.quote(str(folder.path))}",
        )
    claim(folder.path, "coordinator")
    for path in (folder.path, folder.hospitals, folder.invitations, folder.revoked):
        private_folder(path)
    if not folder.identity_file.exists():
        write_key(folder.identity_file, Ed25519PrivateKey.generate())
    _make_authority(folder, now)
    made = issue_server(folder.authority(), settings.hosts, now)
    Change((_server(folder, made), _settings(folder, settings))).make()


def renew(
    folder: CoordinatorFolder, hosts: Sequence[str], port: int | None, now: datetime, *, new_authority: bool = False
) -> list[Enrolled]:
    """Make a new key and certificate for the server; give the hospitals that need their new invitation for it.

    As long as address and authority stay, these are none; those whose files are damaged (``CoordinatorFolder.survey``)
    are left out. ``hosts`` come to those that there are, the first of them in
    front; ``port`` replaces it, unless None. With a new authority, certificates of the old one, stolen or not, are
    worth nothing to each hospital that has accepted its new invitation.

    Raises:
        StorageError: the authority's key is not here, or the folder cannot be written.
        MessageError: a host is not a name or address, or the authority has expired.
    """
    before = folder.settings
    settings = CoordinatorSettings(hosts=_each_once([*hosts, *before.hosts]), port=port or before.port)
    authority = make_authority(generate_private_key(SECP256R1()), now) if new_authority else folder.authority()
    made = issue_server(authority, settings.hosts, now)
    until, which = made.certificate.not_valid_after_utc, "another" if new_authority else "the same"
    written = [*(_another(folder, authority, now) if new_authority else ()), _server(folder, made)]
    written += [_settings(folder, settings)] if settings != before else []
    facts: dict[str, Fact] = {"until": f"{until:%Y-%m-%d}", "authority": which}
    coordinator_log(folder).note("certificate renewed", facts, Change(tuple(written)))
    hospitals = folder.survey().enrolled
    given = {one.name: Invitation.read(folder.invitation_of(one.name)) for one in hospitals}
    return [one for one in hospitals if enrol(folder, one.request, now) != given[one.name]]


def standing(folder: CoordinatorFolder, request: Request, now: datetime) -> Standing:
    """Tell whether a request may be granted, and what it would change.

    Raises:
        MessageError: a key of it was revoked or is another hospital's; another key has its name; it is older than the
            one that was granted; it comes from the future; what was kept of this hospital is damaged.
        StorageError: the record of a revocation is damaged: the request could be that of a revoked hospital.
    """
    check_request_clock(request, now)
    for gone in folder.revocations():
        if request.identity == gone.identity or request.node_key == gone.node_key:
            raise MessageError(
                f"a key of this request was revoked on {gone.revoked:%Y-%m-%d} as that of {gone.hospital}",
                where=request.hospital,
                do="Have the hospital make new keys: wardround hospital init NAME --data DIR --new-keys",
            )
    found = Standing.NEW
    survey = folder.survey()
    if damage := survey.damaged.get(folder.request_of(request.hospital)):
        raise damage
    for one in survey.enrolled:
        if one.name == request.hospital:
            found = _next_to(folder, one, request)
        elif request.identity == one.request.identity or request.node_key == one.request.node_key:
            raise MessageError(
                f"this is the key of {one.name}, which is enrolled; each hospital makes its own",
                where=request.hospital,
                do="Have the hospital make its own: wardround hospital init NAME --data DIR --new-keys",
            )
    if found is Standing.NEW:
        _check_can_be_told_apart(folder, request.hospital)
    return found


def _check_can_be_told_apart(folder: CoordinatorFolder, name: str) -> None:
    """Check that people cannot take a new hospital's name for another's, whose fingerprint they would then compare.

    Raises:
        MessageError: letters of several scripts are mixed in it, or it looks like that of an enrolled hospital.
    """
    other_name = "Ask the hospital for another name: wardround hospital init NAME --data DIR --state OTHER"
    if scripts := mixed_scripts(name):
        raise MessageError(
            f"letters of {' and '.join(scripts)} are mixed in this name, which people cannot see: {name!a}",
            where=name,
            do=other_name,
        )
    for one in folder.survey().enrolled:
        if skeleton(one.name) == skeleton(name):
            raise MessageError(
                f"this name looks like that of {one.name}, which is enrolled: {name!a} and {one.name!a}",
                where=name,
                do=other_name,
            )


def _next_to(folder: CoordinatorFolder, one: Enrolled, request: Request) -> Standing:
    if one.request.identity != request.identity:
        raise MessageError(
            f"another key is enrolled as {one.name}: {one.request.fingerprint}",
            where=request.hospital,
            do="Ask the hospital by telephone. If its keys were lost or stolen, revoke the old ones first: "
            f"wardround coordinator revoke {shlex.quote(str(folder.path))} {shlex.quote(one.name)}",
        )
    if one.request == request:
        return Standing.SAME
    if request.made < one.request.made:
        raise MessageError(
            f"a newer request of {one.name} was granted; this one is of {request.made:%Y-%m-%d %H:%M} UTC",
            where=request.hospital,
            do="Ask the hospital for its latest request.",
        )
    return Standing.NEW_NODE_KEY if one.request.node_key != request.node_key else Standing.SAME


def enrol(folder: CoordinatorFolder, request: Request, now: datetime) -> Invitation:
    """Let a hospital in. The same request again gets the same invitation, unless the coordinator has moved since.

    Raises:
        StorageError: the folder is not whole or cannot be written.
        MessageError: as :func:`standing`.
    """
    standing(folder, request, now)
    settings = folder.settings
    certificate = folder.authority_certificate()
    check_valid(certificate, now, "the coordinator's authority")
    authority = pem(certificate)
    identity = folder.identity()
    place = folder.invitation_of(request.hospital)
    before = next((one for one in folder.survey().enrolled if one.name == request.hospital), None)
    if before is not None and before.request == request:
        given = Invitation.read(place)
        now_said = (settings.address, authority, request.digest(), identity.public)
        if (given.address, given.authority.encode(), given.request, given.public) == now_said:
            return given
    since = now if before is None else before.since
    invitation = Invitation.make(request, settings.address, authority, identity, now, since)
    who: dict[str, Fact] = {"hospital": request.hospital, "fingerprint": request.fingerprint}
    what = "hospital enrolled" if before is None else "hospital invited again"
    kept = Written(place, invitation.content()), Written(folder.request_of(request.hospital), request.content())
    coordinator_log(folder).note(what, who | {"request": request.digest()}, Change(kept))
    return invitation


def find_enrolled(folder: CoordinatorFolder, hospital: str) -> Enrolled:
    """Find the hospital that is enrolled under a name.

    Raises:
        MessageError: there is none; it says which there are.
        StorageError: its file is damaged.
    """
    survey = folder.survey()
    listed = survey.enrolled
    found = next((one for one in listed if one.name == hospital), None)
    if damage := survey.damaged.get(folder.request_of(hospital)):
        raise damage
    if found is None:
        names = ", ".join(one.name for one in listed) or "none"
        raise MessageError(f"no hospital is enrolled as {hospital!r}", do=f"Those that are: {names}")
    return found


def revoke(folder: CoordinatorFolder, hospital: str, now: datetime) -> Revoked:
    """Let a hospital in no more; its keys are never enrolled again.

    Raises:
        MessageError: no such hospital is enrolled.
        StorageError: the folder cannot be written.
    """
    found = find_enrolled(folder, hospital)
    gone = Revoked.model_validate(
        {
            "hospital": found.name,
            "identity": found.request.identity,
            "node_key": found.request.node_key,
            "enrolled": f"{found.since:%Y-%m-%dT%H:%M:%SZ}",
            "revoked": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
    )
    # The record first: from here on the hospital is out, whatever becomes of the two other files; see enrolled().
    name = hashlib.sha256(f"{gone.identity} {gone.node_key}".encode()).hexdigest()[:16]
    record = Written(folder.revoked / f"{name}.json", gone.model_dump_json(indent=1).encode() + b"\n")
    change = Change((record,), removed=(folder.request_of(hospital), folder.invitation_of(hospital)))
    facts: dict[str, Fact] = {"hospital": gone.hospital, "fingerprint": gone.fingerprint}
    coordinator_log(folder).note("hospital revoked", facts, change)
    return gone


def _make_authority(folder: CoordinatorFolder, now: datetime) -> None:
    if not folder.ca_key.exists():
        write_key(folder.ca_key, generate_private_key(SECP256R1()))
    if not folder.ca_certificate.exists():
        key = read_p256_key(folder.ca_key, AUTHORITY_KEY)
        write_atomically(folder.ca_certificate, pem(make_authority(key, now).certificate))


def _each_once(hosts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(check_host, hosts)))


def _another(folder: CoordinatorFolder, authority: Authority, now: datetime) -> Iterator[Written]:
    """Write another authority, and keep the one that was: nothing is ever lost."""
    aside = folder.replaced / f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    for path, content in (
        (folder.ca_key, private_pem(authority.key)),
        (folder.ca_certificate, pem(authority.certificate)),
    ):
        if path.exists():
            with no_room_is_said(path):
                yield Written(aside / path.name, path.read_bytes())
        yield Written(path, content, private=path == folder.ca_key)


def _server(folder: CoordinatorFolder, made: ServerCertificate) -> Written:
    return Written(folder.server_certificate, private_pem(made.key) + pem(made.certificate))


def _settings(folder: CoordinatorFolder, settings: CoordinatorSettings) -> Written:
    heading = "Where hospitals reach this coordinator; changed by: wardround coordinator renew DIR"
    return Written(folder.settings_file, settings_text(heading, settings.model_dump()), private=False)
