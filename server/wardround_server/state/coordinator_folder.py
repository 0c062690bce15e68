"""Where a coordinator keeps what it needs, in one place: its authority, its server's certificate, its hospitals."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cryptography import x509
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wardround_common.addresses import address, check_host
from wardround_common.documents.enrolment import Invitation, NodeKey, Request, file_stem
from wardround_common.documents.signed_document import Key, Moment
from wardround_common.errors import CHECK_FILE, MessageError, StorageError, WardroundError
from wardround_common.keys.certificates import Authority, check_authority, read_certificate
from wardround_common.keys.identity import Identity, fingerprint
from wardround_common.keys.key_files import LARGEST_FILE_BYTES, Words, read_identity_key, read_p256_key
from wardround_common.record_form import check_form
from wardround_common.shell.settings_file import read_settings
from wardround_common.storage import read_private
from wardround_common.study.roster import HospitalName

UNSENT = ".release-"
"""How the name of a folder begins in which a release is packed for a browser; it is removed once that was sent."""
RESTORE = "Restore it from your backup."
_SET_RIGHT = (
    "Restore it from your backup. Without one: move it away, which ends that hospital's access, and let the hospital "
    "send a request with a new node key: wardround hospital init NAME --data DIR --new-node-key"
)
AUTHORITY_KEY = Words(
    "the authority's private key",
    "the authority's private key is not here",
    "If you keep it elsewhere, bring it here for this command.",
    RESTORE,
)


def _a_host(value: str) -> str:
    try:
        return check_host(value)
    except MessageError as error:
        raise ValueError(error.what) from None


class CoordinatorSettings(BaseModel):
    """``coordinator.toml``: where hospitals reach this coordinator."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hosts: Annotated[tuple[Annotated[str, AfterValidator(_a_host)], ...], Field(strict=False, min_length=1)]
    """Names and addresses in the server's certificate; invitations name the first."""
    port: Annotated[int, Field(ge=1, le=65535)]

    @property
    def host(self) -> str:
        """The name or address that hospitals connect to."""
        return self.hosts[0]

    @property
    def address(self) -> str:
        """Host and port, as an invitation states them."""
        return address(self.host, self.port)


@dataclass(frozen=True)
class Enrolled:
    """A hospital that may connect, and since when."""

    request: Request
    since: datetime

    @property
    def name(self) -> str:
        """The hospital's name."""
        return self.request.hospital


@dataclass(frozen=True)
class Survey:
    """Who may connect, as far as the files of a folder can be read."""

    enrolled: tuple[Enrolled, ...]
    """By name."""
    revoked: tuple[Revoked, ...]
    """In the order in which they were."""
    damaged: Mapping[Path, WardroundError]
    """What is the matter with each file that cannot be used: a request, an invitation or the record of a revocation."""
    sure: bool
    """Whether every record of a revocation could be read. If not, one of ``enrolled`` may have been revoked."""


class Revoked(BaseModel):
    """A hospital that may not connect any more: its keys are never enrolled again."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hospital: HospitalName
    identity: Key
    node_key: NodeKey
    enrolled: Moment
    revoked: Moment

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its identity."""
        return fingerprint(bytes.fromhex(self.identity))


@dataclass(frozen=True)
class CoordinatorFolder:
    """A coordinator's data folder; nothing is read before it is asked for but in which form it is.

    Raises:
        StorageError: a newer version of Wardround has written in it (:mod:`~wardround_common.record_form`).
    """

    path: Path

    def __post_init__(self) -> None:
        """Leave alone what a newer version has written."""
        check_form(self.path)

    def forget_unsent(self) -> None:
        """Remove what a service that was killed left of releases that it packed for a browser, or was sending."""
        for left in self.path.glob(f"{UNSENT}*"):
            shutil.rmtree(left, ignore_errors=True)

    @property
    def settings_file(self) -> Path:
        """Written last by ``init``: a folder without it is not complete."""
        return self.path / "coordinator.toml"

    @property
    def ca_certificate(self) -> Path:
        """The authority's certificate, PEM, for everybody."""
        return self.path / "authority.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's private key; only ``init`` and ``renew`` need it, so it may be kept elsewhere."""
        return self.path / "authority.key"

    @property
    def server_certificate(self) -> Path:
        """The server's certificate, PEM."""
        return self.path / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's private key: in the file of its certificate, so that both are renewed in one step."""
        return self.server_certificate

    @property
    def identity_file(self) -> Path:
        """The key that signs invitations."""
        return self.path / "identity.pem"

    @property
    def hospitals(self) -> Path:
        """The requests of the hospitals that may connect, one file each."""
        return self.path / "hospitals"

    @property
    def invitations(self) -> Path:
        """What was answered, one file for each hospital."""
        return self.path / "invitations"

    @property
    def revoked(self) -> Path:
        """Who may not connect any more, one file for each pair of keys."""
        return self.path / "revoked"

    @property
    def replaced(self) -> Path:
        """Authorities that no longer count, by when they were set aside."""
        return self.path / "replaced"

    @property
    def settings(self) -> CoordinatorSettings:
        """Read where hospitals reach this coordinator.

        Raises:
            StorageError: this is not a coordinator's folder, or its settings are wrong.
        """
        absent = "this is not a coordinator's folder"
        return read_settings(self.settings_file, CoordinatorSettings, absent=absent, do=self._set_up)

    @property
    def _set_up(self) -> str:
        """What to do where it is no coordinator's folder."""
        return (
            f"Set one up with: wardround coordinator init {shlex.quote(str(self.path))} --host NAME; or name the "
            "folder of one."
        )

    def identity(self) -> Identity:
        """Read the key that signs invitations.

        Raises:
            StorageError: it cannot be used.
        """
        words = Words("the coordinator's identity", "the coordinator has no identity", self._set_up, RESTORE)
        return read_identity_key(self.identity_file, words)

    def authority(self) -> Authority:
        """Read the authority with its private key.

        Raises:
            StorageError: it cannot be used.
        """
        key = read_p256_key(self.ca_key, AUTHORITY_KEY)
        certificate = self._certificate(self.ca_certificate)
        try:
            check_authority(certificate)
        except MessageError as error:
            raise StorageError(error.what, where=str(self.ca_certificate), do=RESTORE) from None
        if certificate.public_key() != key.public_key():
            raise StorageError("this is not the key of the authority's certificate", where=str(self.ca_key), do=RESTORE)
        return Authority(certificate, key)

    def authority_certificate(self) -> x509.Certificate:
        """Read the authority's certificate.

        Raises:
            StorageError: it cannot be used.
        """
        return self._certificate(self.ca_certificate)

    def certificate(self) -> x509.Certificate:
        """Read the server's certificate, in whose file its private key is too.

        Raises:
            StorageError: it cannot be used, or others may read it.
        """
        with suppress(OSError):  # of which more is said below
            read_private(self.server_certificate, "the server's private key", 1)
        return self._certificate(self.server_certificate)

    def enrolled(self) -> list[Enrolled]:
        """List the hospitals that may connect, by name.

        Raises:
            StorageError, MessageError: one's file is damaged: nobody is left out silently.
        """
        found = self.survey()
        for error in found.damaged.values():
            raise error
        return list(found.enrolled)

    def survey(self) -> Survey:
        """List the hospitals that may connect, and name the files that are damaged instead of failing by one of them.

        Raises:
            StorageError: this is not a coordinator's folder, or the folder of its hospitals cannot be read.
        """
        _ = self.settings  # a folder that is no coordinator's has no hospitals, and says so
        damaged: dict[Path, WardroundError] = {}
        revoked = self._revocations(damaged)
        sure, gone = not damaged, {one.identity for one in revoked}
        listed = []
        for path in _files(self.hospitals, ".request"):
            try:
                request = Request.read(path)
                if request.identity not in gone:
                    listed.append(Enrolled(request, Invitation.read(self.invitation_of(request.hospital)).since))
            except (StorageError, MessageError) as error:
                damaged[path] = type(error)(error.what, where=error.where, do=_SET_RIGHT)
        return Survey(tuple(sorted(listed, key=lambda one: one.name)), tuple(revoked), damaged, sure)

    def revocations(self) -> list[Revoked]:
        """List the hospitals that may not connect any more, in the order in which they were revoked.

        Raises:
            StorageError: one's file is damaged.
        """
        damaged: dict[Path, WardroundError] = {}
        listed = self._revocations(damaged)
        for error in damaged.values():
            raise error
        return listed

    def _revocations(self, damaged: dict[Path, WardroundError]) -> list[Revoked]:
        reader = TypeAdapter(Revoked)
        listed = []
        for path in _files(self.revoked, ".json"):
            try:
                with path.open("rb") as file:
                    listed.append(reader.validate_json(file.read(LARGEST_FILE_BYTES)))
            except (OSError, ValidationError):
                damaged[path] = StorageError(
                    "the record of a revoked hospital is damaged; nobody is admitted until it can be read",
                    where=str(path),
                    do=RESTORE,
                )
        return sorted(listed, key=lambda one: (one.revoked, one.hospital))

    def request_of(self, hospital: str) -> Path:
        """Return the file of a hospital's request, as long as it may connect."""
        return self.hospitals / f"{_own_stem(hospital)}.request"

    def invitation_of(self, hospital: str) -> Path:
        """Return the file of what a hospital was answered."""
        return self.invitations / f"{_own_stem(hospital)}.invitation"

    def _certificate(self, path: Path) -> x509.Certificate:
        try:
            with path.open("rb") as file:
                return read_certificate(file.read(LARGEST_FILE_BYTES), where=str(path))
        except FileNotFoundError:
            raise StorageError("the certificate is missing", where=str(path), do=self._set_up) from None
        except OSError as error:
            reason = (error.strerror or "no reason given").lower()
            raise StorageError(f"the certificate cannot be read: {reason}", where=str(path), do=CHECK_FILE) from None
        except MessageError as error:
            raise StorageError(error.what, where=str(path), do=RESTORE) from None


def _files(folder: Path, ending: str) -> list[Path]:
    """List the files of a folder by an ending; none if there is no such folder.

    Raises:
        StorageError: it cannot be read: that is not the same as empty.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StorageError(f"the folder cannot be read: {reason}", where=str(folder), do=RESTORE) from None


def _own_stem(hospital: str) -> str:
    """Name a hospital's file so that no two hospitals share one."""
    return f"{file_stem(hospital)}-{hashlib.sha256(hospital.encode()).hexdigest()[:8]}"
