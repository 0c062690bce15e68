"""What one party signs and another accepts whole or not at all: JSON in one form, bounded, without unknown fields."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from wardround_common.errors import CHECK_FILE, MessageError, StorageError
from wardround_common.keys.identity import Identity, check_signature, fingerprint

FORMAT = 1
LARGEST_BYTES = 16 * 1024


def _a_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("a time is text")
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def written_time(moment: datetime) -> str:
    """Write a time as documents do: UTC, whole seconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None):%Y-%m-%dT%H:%M:%S}Z"


Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key, 64 hexadecimal digits."""
Moment = Annotated[datetime, BeforeValidator(_a_time), PlainSerializer(written_time)]
"""A time in UTC, whole seconds."""
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z.+!-]{1,40}$")]


class SignedDocument(BaseModel):
    """What such documents have in common: the version of their form, who made them when, and a signature over the rest.

    Each has a field ``document`` besides, which says its role.
    """

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
        """Return the file, in the only form that is read again."""
        return canonical(self.model_dump())

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal digits."""
        return hashlib.sha256(self.content()).hexdigest()

    @classmethod
    def parse(cls, content: bytes, *, where: str = "") -> Self:
        """Read a document from its file and check what it says of itself.

        Raises:
            MessageError: it is not in its one form, of another version, or a signature is not valid.
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
                f"this {cls.ROLE} is of a version that this Wardround does not read ({FORMAT})",
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
                f"this {cls.ROLE} was altered after it was written",
                where=where,
                do="Somebody or some program edited it. Ask for the file again, as an attachment.",
            )
        document.check_signatures(where)
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
            raise StorageError(f"the {cls.ROLE} cannot be read: {reason}", where=str(path), do=CHECK_FILE) from None
        return cls.parse(content, where=str(path))

    def check_signatures(self, where: str) -> None:
        """Check that the signer signed all the rest.

        Raises:
            MessageError: it did not.
        """
        try:
            statement = canonical(self.model_dump(exclude={"signature"}))
            check_signature(self.public, bytes.fromhex(self.signature), self.ROLE.encode(), statement)
        except MessageError:
            raise not_signed(self.ROLE, where) from None


def begun(role: str, identity: Identity, now: datetime) -> dict[str, Any]:
    """Return the fields that a document begins with."""
    return {
        "document": role,
        "format": FORMAT,
        "wardround": version("wardround"),
        "made": written_time(now),
        "identity": identity.public.hex(),
    }


def signed(role: str, fields: dict[str, Any], identity: Identity) -> bytes:
    """Sign all fields and give the file."""
    return canonical(fields | {"signature": identity.sign(role.encode(), canonical(fields)).hex()})


def canonical(fields: dict[str, Any]) -> bytes:
    """Write fields in the one form: sorted, one per line, UTF-8."""
    return (json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def not_signed(role: str, where: str) -> MessageError:
    """Say that a signature is not valid."""
    return MessageError(
        f"the signature of this {role} is not valid",
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
