"""How a hospital and a coordinator get to know each other: a request goes out, an invitation comes back.

Both are text files that a person can read and send by mail: JSON with sorted keys, in one form only, and signed over
all of it (docs/enrolment.md). A file with one byte changed is refused. A signature does not say whose key it is: people
compare the fingerprint by telephone.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import AfterValidator, Field

from wardround_common.addresses import address, split_address
from wardround_common.canonical import joined
from wardround_common.documents.signed_document import (
    Moment,
    SignedDocument,
    begun,
    canonical,
    not_signed,
    signed,
    written_time,
)
from wardround_common.errors import MessageError
from wardround_common.keys.certificates import check_authority, pem, read_certificate
from wardround_common.keys.identity import Identity
from wardround_common.study.roster import HospitalName

FASTEST_S = 5
SLOWEST_S = 305
"""Flower takes a hospital's request when the hospital's clock is at most so much ahead, or behind."""


def _a_node_key(value: str) -> str:
    try:
        key = load_ssh_public_key(value.encode())
    except (UnsupportedAlgorithm, NotImplementedError, ValueError):  # the second: a compressed point
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1) or openssh(key) != value:
        raise ValueError("this is not a NIST P-256 public key in OpenSSH's form")
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
        raise ValueError("this is not a name or address with a port, such as fl.example.org:9093")
    return value


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NodeKey = Annotated[str, Field(max_length=250), AfterValidator(_a_node_key)]


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
        fields = begun(cls.ROLE, identity, now) | {"hospital": hospital, "node_key": openssh(node_key.public_key())}
        fields["node_signature"] = node_key.sign(_node_statement(fields), ECDSA(SHA256())).hex()
        return cls.parse(signed(cls.ROLE, fields, identity))

    def node_public(self) -> EllipticCurvePublicKey:
        """Return the node key as Flower's node authentication takes it."""
        key = load_ssh_public_key(self.node_key.encode())
        if not isinstance(key, EllipticCurvePublicKey):
            raise TypeError(type(key))  # the field's validator has seen to it
        return key

    def check_signatures(self, where: str) -> None:
        """Check that the holders of both keys signed this.

        Raises:
            MessageError: one of them did not.
        """
        super().check_signatures(where)
        statement = _node_statement(self.model_dump(exclude={"signature", "node_signature"}))
        try:
            self.node_public().verify(bytes.fromhex(self.node_signature), statement, ECDSA(SHA256()))
        except InvalidSignature:
            raise not_signed(self.ROLE, where) from None


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
    """When the hospital was enrolled; an invitation that is rewritten, for another address, keeps it."""

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
        fields = begun(cls.ROLE, identity, now) | {
            "address": address,
            "authority": authority.decode(),
            "hospital": request.hospital,
            "request": request.digest(),
            "since": written_time(since or now),
        }
        return cls.parse(signed(cls.ROLE, fields, identity))


def file_stem(hospital: str) -> str:
    """Turn a hospital's name into the name of a file without its ending; two hospitals may get the same."""
    return re.sub(r"[^\w]+", "-", hospital).strip("-_").lower()[:40] or "hospital"


def openssh(key: EllipticCurvePublicKey) -> str:
    """Write a public key as OpenSSH does, in one line without a comment."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


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
            do="Set both clocks by a time server, then the hospital runs init again and sends the new request. "
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
            do="Set the clock by a time server (timedatectl set-ntp true). "
            f"Connections are refused when it is more than {SLOWEST_S} seconds slow.",
        )


def _length(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _node_statement(fields: dict[str, Any]) -> bytes:
    return joined(b"wardround node key 1", canonical(fields))
