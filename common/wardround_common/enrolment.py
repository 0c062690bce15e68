"""How a hospital and a coordinator come to know each other: a request goes out, an invitation comes back.

Both are text files that a person can read and send by mail: JSON with sorted keys, in one form only, and signed over
all of it (docs/enrolment.md). A file with one byte changed is refused. A signature does not say whose key it is: people
compare the fingerprint by telephone.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from wardround_common.certificates import check_authority, check_host, pem, read_certificate
from wardround_common.errors import MessageError, StorageError
from wardround_common.roster import HospitalName
from wardround_common.secagg.canonical import joined
from wardround_common.secagg.identity import Identity, check_signature, fingerprint

FORMAT = 1
LARGEST_BYTES = 16 * 1024
FASTEST_S = 5
SLOWEST_S = 305
"""Flower takes a hospital's request when the hospital's clock is at most so much ahead, or behind."""


def _a_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("a time is text")
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _written_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None):%Y-%m-%dT%H:%M:%S}Z"


def _a_node_key(value: str) -> str:
    try:
        key = load_ssh_public_key(value.encode())
    except (UnsupportedAlgorithm, NotImplementedError, ValueError):  # the second: a compressed point
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1) or openssh(key) != value:
        raise ValueError("this is no NIST P-256 public key in OpenSSH's form")
    return value


def _an_authority(value: str) -> str:
    try:
        certificate = read_certificate(value.encode())
        check_authority(certificate)
    except MessageError as error:
        raise ValueError(error.what) from None
    if pem(certificate).decode() != value:
        raise ValueError("this is not one certificate in its usual form")
    return value


def _an_address(value: str) -> str:
    try:
        right = address(*split_address(value)) == value
    except MessageError:
        right = False
    if not right:
        raise ValueError("this is no name or address with a port, such as fl.example.org:9093")
    return value


Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key, 64 hexadecimal digits."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Moment = Annotated[datetime, BeforeValidator(_a_time), PlainSerializer(_written_time)]
"""A time in UTC, whole seconds."""
NodeKey = Annotated[str, Field(max_length=250), AfterValidator(_a_node_key)]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z.+!-]{1,40}$")]


class SignedDocument(BaseModel):
    """What both documents have: a name and version of the form, who made it when, and the signature over the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ROLE: ClassVar[str]
    """What the signature is said to be for, so that no document passes for another."""

    format: Literal[1]
    wardround: Version
    """The version that wrote it, for people; ``format`` decides whether it can be read."""
    made: Moment
    identity: Key
    """Who signed it."""
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @property
    def public(self) -> bytes:
        """The signer's public key, 32 bytes."""
        return bytes.fromhex(self.identity)

    @property
    def fingerprint(self) -> str:
        """What people compare by telephone: 20 digits that stand for the signer's key."""
        return fingerprint(self.public)

    def content(self) -> bytes:
        """Give the file, in the only form that is read again."""
        return _canonical(self.model_dump())

    def digest(self) -> str:
        """Give the SHA-256 of the file, in hexadecimal digits."""
        return hashlib.sha256(self.content()).hexdigest()

    @classmethod
    def parse(cls, content: bytes, *, where: str = "") -> Self:
        """Read a document from its file and check what it says of itself.

        Raises:
            MessageError: it is not in its one form, of another version, or a signature does not hold.
        """
        where = where or cls.ROLE
        try:
            text = content.decode() if len(content) <= LARGEST_BYTES else ""
            fields = json.loads(text)
        except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
            fields = None
        if not isinstance(fields, dict) or fields.get("document") != cls.ROLE:
            raise MessageError(f"this is no {cls.ROLE}", where=where, do="Ask for the file again, as an attachment.")
        if fields.get("format") != FORMAT:
            raise MessageError(
                f"this {cls.ROLE} is of another version than this Wardround reads ({FORMAT})",
                where=where,
                do="Install the same version of Wardround at both ends.",
            )
        try:
            document = cls.model_validate(fields)
        except ValidationError as error:
            raise MessageError(
                f"this {cls.ROLE} cannot be used: {'; '.join(_faults(error))}",
                where=where,
                do="Ask for the file again, as an attachment.",
            ) from None
        # A mail program may have added or changed the end of the last line, nothing else.
        if document.content() != content.removesuffix(b"\n").removesuffix(b"\r") + b"\n":
            raise MessageError(
                f"this {cls.ROLE} is not in the form in which it was written",
                where=where,
                do="Somebody or some program has edited it. Ask for the file again, as an attachment.",
            )
        document._check_signatures(where)
        return document

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a document from a file.

        Raises:
            StorageError: the file cannot be read.
            MessageError: it is no such document.
        """
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            reason = (error.strerror or "no reason given").lower()
            raise StorageError(f"the {cls.ROLE} cannot be read: {reason}", where=str(path)) from None
        return cls.parse(content, where=str(path))

    def _check_signatures(self, where: str) -> None:
        try:
            statement = _canonical(self.model_dump(exclude={"signature"}))
            check_signature(self.public, bytes.fromhex(self.signature), self.ROLE.encode(), statement)
        except MessageError:
            raise _not_signed(self.ROLE, where) from None


class Request(SignedDocument):
    """A hospital asks to be enrolled: its name and the public halves of its two keys, signed with both."""

    ROLE: ClassVar[str] = "enrolment request"

    document: Literal["enrolment request"]
    hospital: HospitalName
    node_key: NodeKey
    """The key that the hospital's connection signs with, in OpenSSH's form."""
    node_signature: Annotated[str, Field(pattern=r"^[0-9a-f]{16,144}$")]
    """Shows that the hospital holds the private half, so that nobody enrols another's node key as theirs."""

    @classmethod
    def make(cls, hospital: str, identity: Identity, node_key: EllipticCurvePrivateKey, now: datetime) -> Request:
        """Write a request and sign it with the hospital's identity and with its node key."""
        fields = _begun(cls.ROLE, identity, now) | {"hospital": hospital, "node_key": openssh(node_key.public_key())}
        fields["node_signature"] = node_key.sign(_node_statement(fields), ECDSA(SHA256())).hex()
        return cls.parse(_signed(cls.ROLE, fields, identity))

    def node_public(self) -> EllipticCurvePublicKey:
        """Give the node key as Flower's node authentication takes it."""
        key = load_ssh_public_key(self.node_key.encode())
        if not isinstance(key, EllipticCurvePublicKey):
            raise TypeError(type(key))  # the field's validator has seen to it
        return key

    def _check_signatures(self, where: str) -> None:
        super()._check_signatures(where)
        statement = _node_statement(self.model_dump(exclude={"signature", "node_signature"}))
        try:
            self.node_public().verify(bytes.fromhex(self.node_signature), statement, ECDSA(SHA256()))
        except InvalidSignature:
            raise _not_signed(self.ROLE, where) from None


class Invitation(SignedDocument):
    """A coordinator lets one hospital in: where it listens, and which authority vouches for its server."""

    ROLE: ClassVar[str] = "invitation"

    document: Literal["invitation"]
    address: Annotated[str, Field(max_length=300), AfterValidator(_an_address)]
    """Name or IP address, and port."""
    authority: Annotated[str, AfterValidator(_an_authority)]
    """The certificate of the coordinator's authority, PEM."""
    hospital: HospitalName
    request: Digest
    """Which request this answers."""
    since: Moment
    """When the hospital was enrolled; an invitation that is written anew, for another address, keeps it."""

    @classmethod
    def make(
        cls,
        request: Request,
        address: str,
        authority: bytes,
        identity: Identity,
        now: datetime,
        since: datetime | None = None,
    ) -> Invitation:
        """Answer a request and sign with the coordinator's identity; ``authority`` is a certificate in PEM.

        ``since`` is when the hospital was enrolled, now unless it was before.
        """
        fields = _begun(cls.ROLE, identity, now) | {
            "address": address,
            "authority": authority.decode(),
            "hospital": request.hospital,
            "request": request.digest(),
            "since": _written_time(since or now),
        }
        return cls.parse(_signed(cls.ROLE, fields, identity))


def file_stem(hospital: str) -> str:
    """Turn a hospital's name into the name of a file without its ending; two hospitals may get the same."""
    return re.sub(r"[^\w]+", "-", hospital).strip("-_").lower()[:60] or "hospital"


def openssh(key: EllipticCurvePublicKey) -> str:
    """Write a public key as OpenSSH does, in one line without a comment."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def address(host: str, port: int) -> str:
    """Join a host and a port; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(value: str) -> tuple[str, int]:
    """Take an address asunder into a host, as :func:`~wardround_common.certificates.check_host` gives it, and a port.

    Raises:
        MessageError: it is no such address.
    """
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise MessageError(f"{value!r} has no port from 1 to 65535")
    host = host[1:-1] if bracketed else host
    if bracketed != (":" in host):
        raise MessageError(f"{value!r} is no address: an IPv6 address, and nothing else, stands in brackets")
    return check_host(host), int(port)


def check_request_clock(request: Request, now: datetime) -> None:
    """Check that the hospital's clock was not ahead of this one when it wrote its request.

    A clock that is ahead and a request that is old cannot be told apart, so that this finds some fast clocks, not all.

    Raises:
        MessageError: the request comes from the future.
    """
    ahead = request.made - now
    if ahead > timedelta(seconds=FASTEST_S):
        raise MessageError(
            f"the request of {request.hospital} was written {_length(ahead)} in the future: "
            "that hospital's clock is fast, or this one is slow",
            do=f"Set both clocks by a time server, then let the hospital write its request again. "
            f"Connections are refused when a hospital's clock is more than {FASTEST_S} seconds fast.",
        )


def check_invitation_clock(invitation: Invitation, now: datetime) -> None:
    """Check that this hospital's clock is not so slow that the coordinator would refuse its connections.

    Raises:
        MessageError: the invitation comes from the future.
    """
    ahead = invitation.made - now
    if ahead > timedelta(seconds=SLOWEST_S):
        raise MessageError(
            f"the invitation was written {_length(ahead)} in the future: this machine's clock is slow, or the "
            "coordinator's is fast",
            do=f"Set the clock by a time server (timedatectl set-ntp true). "
            f"Connections are refused when it is more than {SLOWEST_S} seconds slow.",
        )


def _length(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _begun(role: str, identity: Identity, now: datetime) -> dict[str, Any]:
    return {
        "document": role,
        "format": FORMAT,
        "wardround": version("wardround"),
        "made": _written_time(now),
        "identity": identity.public.hex(),
    }


def _canonical(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _node_statement(fields: dict[str, Any]) -> bytes:
    return joined(b"wardround node key 1", _canonical(fields))


def _signed(role: str, fields: dict[str, Any], identity: Identity) -> bytes:
    return _canonical(fields | {"signature": identity.sign(role.encode(), _canonical(fields)).hex()})


def _not_signed(role: str, where: str) -> MessageError:
    return MessageError(
        f"the signature of this {role} does not hold",
        where=where,
        do="It was changed on its way, or is not from who it says. Ask for it again and compare the fingerprint.",
    )


def _faults(error: ValidationError) -> list[str]:
    """Name the fields that are unknown, missing or wrong; never their values, which could be anything."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        field = "".join(char for char in str(fault["loc"][0])[:40] if char.isprintable())
        if fault["type"] == "extra_forbidden":
            faults.append(f"it has an unknown field {field!r}")
        elif fault["type"] == "missing":
            faults.append(f"the field {field!r} is missing")
        elif fault["type"] == "value_error":
            faults.append(f"{field!r}: {fault['ctx']['error']}")
        else:
            faults.append(f"the field {field!r} is not what it must be")
    return sorted(faults)[:5]
