"""Where a hospital keeps its identity and its coordinator's, in one place: the folder that ``--state`` names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from wardround_client.state import identity_file
from wardround_common.documents.enrolment import Invitation, Request, openssh
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import Words, read_p256_key
from wardround_common.record_form import check_form
from wardround_common.shell.settings_file import read_settings
from wardround_common.study.roster import HospitalName

INIT = "Set it up with: wardround hospital init NAME --data DIR; or name its folder with --state."
_NODE_KEY = Words(
    key="this hospital's node key",
    absent="this hospital has no node key",
    make=INIT,
    restore="Make another: wardround hospital init NAME --data DIR --new-node-key; then send the new request.",
)


def _an_absolute_path(value: object) -> Path:
    if not isinstance(value, str) or not Path(value).is_absolute():
        raise ValueError("it must be a path in quotes that begins at the root, such as '/data/images'")
    return Path(value)


Switch = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=64, strict=False)]
AbsolutePath = Annotated[Path, BeforeValidator(_an_absolute_path)]


class HospitalSettings(BaseModel):
    """``hospital.toml``: who this hospital is and where its images lie."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: HospitalName
    data: AbsolutePath
    """The folder of images."""
    labels: AbsolutePath | None = None
    """The table of labels; None for ``labels.csv`` in the folder of images, or its sub-folders' names."""
    label_attribute: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The keyword of the DICOM attribute that holds the label, instead of a table."""
    allow: Switch = ()
    """What is taken in although the scan would refuse it: words of ``record.ALLOWABLE``."""
    confirm_patients: Switch = ()
    """The guesses of who is a patient that this hospital confirms: words of ``patients.CONFIRMABLE``."""
    formats: Annotated[tuple[Annotated[str, Field(max_length=160)], ...], Field(max_length=16, strict=False)] = ()
    """The formats of plug-ins that its files are read by: ``PACKAGE:PART@SHA256``."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")] = "auto"
    """What trains (``training.devices``): auto is the first CUDA card, or else the CPU."""
    pacs: AbsolutePath | None = None
    """The file that says how the hospital's archive is reached; None for ``pacs.toml`` beside this one."""

    @field_validator("label_attribute")
    @classmethod
    def _one_place_of_labels(cls, keyword: str | None, others: ValidationInfo) -> str | None:
        if keyword is not None and others.data.get("labels") is not None:
            raise ValueError("labels come from a table or from an attribute: remove this key or 'labels'")
        return keyword

    @property
    def switches(self) -> dict[str, object]:
        """Return the settings beside name, images and table that differ from what a new hospital has."""
        every: dict[str, object] = {
            "label_attribute": self.label_attribute,
            "allow": self.allow,
            "confirm_patients": self.confirm_patients,
            "formats": self.formats,
            "device": None if self.device == "auto" else self.device,
        }
        return {key: value for key, value in every.items() if value}


@dataclass(frozen=True)
class HospitalFolder:
    """A hospital's own folder; nothing is read before it is asked for but in which form it is.

    Raises:
        StorageError: a newer version of Wardround has written in it (:mod:`~wardround_common.record_form`).
    """

    path: Path

    def __post_init__(self) -> None:
        """Leave alone what a newer version has written."""
        check_form(self.path)

    @property
    def settings_file(self) -> Path:
        """Name, images and labels."""
        return self.path / "hospital.toml"

    @property
    def identity_key(self) -> Path:
        """The private key that is this hospital to studies and coordinators."""
        return self.path / identity_file.NAME

    @property
    def node_key(self) -> Path:
        """The private key that the connection to the coordinator signs with: NIST P-256, PEM."""
        return self.path / "node.pem"

    @property
    def request_file(self) -> Path:
        """What this hospital asked to be enrolled with; the invitation answers these very bytes."""
        return self.path / "hospital.request"

    @property
    def invitation_file(self) -> Path:
        """The invitation that this hospital accepted."""
        return self.path / "coordinator.invitation"

    @property
    def ca_certificate(self) -> Path:
        """The certificate of the authority in that invitation, PEM: the only one that connections trust."""
        return self.path / "authority.pem"

    @property
    def audit(self) -> Path:
        """The folder of the audit log."""
        return self.path / "audit"

    @property
    def replaced(self) -> Path:
        """Keys and requests that no longer count, by when they were set aside."""
        return self.path / "replaced"

    def identity(self) -> Identity:
        """Read the hospital's identity.

        Raises:
            StorageError: it cannot be used.
        """
        return identity_file.read_identity(self.path)

    def node_keys(self) -> tuple[EllipticCurvePrivateKey, EllipticCurvePublicKey]:
        """Read the pair of keys that Flower's node authentication takes.

        Raises:
            StorageError: they cannot be used.
        """
        key = read_p256_key(self.node_key, _NODE_KEY)
        return key, key.public_key()

    def check_set_up(self) -> None:
        """Check that a hospital was set up here: in a folder that was misspelt there is nothing to list or to decide.

        Raises:
            StorageError: ``init`` was not run.
        """
        if not self.settings_file.exists():
            self.settings()

    def settings(self) -> HospitalSettings:
        """Read who this hospital is and where its images lie.

        Raises:
            StorageError: ``init`` was not run, or the settings are wrong.
        """
        return read_settings(
            self.settings_file, HospitalSettings, absent="this hospital has not been set up here", do=INIT
        )

    def request(self) -> Request:
        """Read the request that this hospital wrote.

        Raises:
            StorageError: there is none, or it is damaged.
        """
        if not self.request_file.exists():
            raise StorageError("this hospital has written no request", where=str(self.request_file), do=INIT)
        try:
            return Request.read(self.request_file)
        except MessageError as error:
            raise StorageError(
                error.what,
                where=str(self.request_file),
                do="Restore it from your backup; or remove it, run init again and send the new request.",
            ) from None

    def answers(self, request: Request) -> bool:
        """Tell whether a request states this hospital's name and the keys that lie here."""
        _, node = self.node_keys()
        return (request.hospital, request.public, request.node_key) == (
            self.settings().name,
            self.identity().public,
            openssh(node),
        )

    def invitation(self) -> Invitation:
        """Read the invitation that this hospital accepted, as long as it still is for the keys that lie here.

        Raises:
            StorageError: there is none, or the keys or the request are others since.
        """
        if not self.invitation_file.exists():
            raise StorageError(
                "this hospital has accepted no invitation",
                where=str(self.invitation_file),
                do="Send the request to the coordinator, then name the invitation that comes back.",
            )
        invitation = Invitation.read(self.invitation_file)
        self.check_is_for_us(invitation, str(self.invitation_file))
        return invitation

    def check_is_for_us(self, invitation: Invitation, where: str) -> None:
        """Check that an invitation answers this hospital's own request and that its keys are those of the request.

        Raises:
            MessageError: it is for another hospital or an earlier request.
            StorageError: what is needed to tell cannot be used, or the keys were replaced.
        """
        name = self.settings().name
        if invitation.hospital != name:
            raise MessageError(
                f"this invitation is for {invitation.hospital}, and this hospital is {name}",
                where=where,
                do="Ask the coordinator for your own.",
            )
        request = self.request()
        if not self.answers(request):
            raise StorageError(
                "the keys here are not those of this hospital's request: they were replaced",
                where=str(self.path),
                do="Restore them from your backup, or run init again and send the new request.",
            )
        if invitation.request != request.digest():
            raise MessageError(
                "this invitation answers another request than the one that this hospital wrote last",
                where=where,
                do=f"Send {self.request_file} to the coordinator, which answers it with a new invitation. Then: "
                "wardround hospital serve INVITATION",
            )
