"""``pacs.toml``: how this hospital's archive is reached, and under which names the two know each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from wardround_client.state.hospital_folder import AbsolutePath, HospitalFolder
from wardround_client.state.state_folder import hospital_state
from wardround_common.errors import CHECK_FILE, StorageError
from wardround_common.shell.settings_file import read_settings

NAME = "pacs.toml"
WRITE_ONE = "Write one as docs/pacs.md shows, in the hospital's folder or where --pacs names it."
Seconds = Annotated[float, Field(gt=0, le=3600, strict=False)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _an_ae_title(title: str) -> str:
    """Check a title: 1 to 16 characters of ASCII, no backslash, no control character (PS3.5, 6.2, AE)."""
    if not 1 <= len(title) <= 16 or not title.strip() or title != title.strip():
        raise ValueError("an AE title has 1 to 16 characters, without spaces around it")
    if not (title.isascii() and title.isprintable()) or "\\" in title:
        raise ValueError("an AE title has ASCII letters, digits and signs only, and no backslash")
    return title


def _a_text(text: str) -> str:
    if "\\" in text or not text.isprintable() or text != text.strip():
        raise ValueError("it must be text without a backslash or a control character, and without spaces around it")
    return text


AeTitle = Annotated[str, AfterValidator(_an_ae_title)]
Long = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_a_text)]
Short = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_a_text)]


class PacsSettings(BaseModel):
    """How the archive is reached: by DICOM (``host``, ``port``, AE titles), by DICOMweb (``web``), or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The archive's DNS name or address."""
    port: Port = 104
    title: AeTitle | None = Field(default=None, validate_default=True)
    """The archive's AE title, which is called."""
    our_title: AeTitle = "WARDROUND"
    """The AE title that calls, and that receives; the archive must know it."""
    retrieve: Literal["get", "move"] = "get"
    """How images come: in the association that asks for them, or to a receiver that the archive connects to."""

    tls: bool = False
    """Whether the archive's port speaks TLS."""
    authority: AbsolutePath | None = None
    """The certificates that the archive's is checked with, PEM; None for those of the system."""
    certificate: AbsolutePath | None = None
    """Our own certificate, PEM, where the archive wants one, and for a receiver with TLS."""
    key: AbsolutePath | None = None

    receiver_address: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, validate_default=True
    )
    """The address of this machine at which a C-MOVE is received, and a report of storage commitment."""
    receiver_port: Port = 11112
    senders: Annotated[tuple[str, ...], Field(max_length=64, strict=False)] = ()
    """The addresses from which the archive sends, beside that of ``host``."""
    sender_titles: Annotated[tuple[AeTitle, ...], Field(max_length=64, strict=False)] = ()
    """The AE titles under which the archive sends, beside ``title``."""
    associations: Annotated[int, Field(ge=1, le=64)] = 4
    """How many associations the receiver accepts at a time. We open one at a time ourselves."""

    web: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(default=None, validate_default=True)
    """The address of DICOMweb, such as ``https://pacs.example.org/dicom-web``."""
    web_user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    web_password: AbsolutePath | None = None
    """The file that holds the password of ``web_user``."""
    web_token: AbsolutePath | None = None
    """The file that holds a bearer token."""

    institution: Long | None = None
    """What results state as the institution where they were made; None for that of the images."""
    department: Long | None = None
    station: Short | None = None
    """The name of this machine in results."""
    manufacturer: Long | None = None
    """What results state as the maker of their equipment; None for Wardround."""

    connect_s: Seconds = 10.0
    """How long a connection and an association may take."""
    answer_s: Seconds = 60.0
    """How long an answer, or the next part of one, may take."""
    most_instances: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """The largest study that is fetched."""

    @field_validator("title")
    @classmethod
    def _named_with_a_host(cls, title: str | None, others: ValidationInfo) -> str | None:
        if title is None and others.data.get("host") is not None:
            raise ValueError("name the archive's AE title, since 'host' is given")
        return title

    @field_validator("receiver_address")
    @classmethod
    def _needed_to_move(cls, address: str | None, others: ValidationInfo) -> str | None:
        if others.data.get("retrieve") == "move":
            if address is None:
                raise ValueError('with retrieve = "move", name this machine\'s address, to which the archive connects')
            if others.data.get("tls") and not (others.data.get("certificate") and others.data.get("key")):
                raise ValueError("with tls, a receiver needs 'certificate' and 'key'")
        return address

    @field_validator("key")
    @classmethod
    def _both_or_none(cls, key: Path | None, others: ValidationInfo) -> Path | None:
        if key is not None and others.data.get("certificate") is None:
            raise ValueError("a key needs its certificate: name 'certificate' too")
        return key

    @field_validator("web")
    @classmethod
    def _an_address(cls, web: str | None, others: ValidationInfo) -> str | None:
        if web is None:
            if others.data.get("host") is None:
                raise ValueError("name an archive: 'host' for DICOM, or 'web' for DICOMweb")
            return None
        parts = urlsplit(web)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("write an address such as 'https://pacs.example.org/dicom-web'")
        if parts.username or parts.password:
            raise ValueError("an address may not hold a password: name web_user and web_password")
        return web.rstrip("/")


def read_pacs(path: Path | None, state: Path | None = None) -> PacsSettings:
    """Read how the archive is reached: from this file, else the one of ``hospital.toml``, else ``pacs.toml`` beside it.

    Raises:
        StorageError: there is none, or it cannot be used.
    """
    return read_settings(path or _usual(state), PacsSettings, absent="no archive is set up here", do=WRITE_ONE)


def _usual(state: Path | None = None) -> Path:
    folder = HospitalFolder(state or hospital_state())
    named = folder.settings().pacs if folder.settings_file.exists() else None
    return named or folder.path / NAME


def equipment_in(path: Path | None) -> tuple[str, str, str, str]:
    """Return what results state of institution, department, station and maker; empty where no archive is set up.

    Raises:
        StorageError: the file is named and is not there, or it cannot be used.
    """
    if path is None and not _usual().exists():
        return "", "", "", ""
    found = read_pacs(path)
    return found.institution or "", found.department or "", found.station or "", found.manufacturer or ""


def secret_of(path: Path, what: str) -> str:
    """Read a password or token: the first line of a file.

    Raises:
        StorageError: it cannot be read, is empty, or others may read it.
    """
    from wardround_common.storage import read_private

    try:
        text = read_private(path, what, 64 * 1024).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StorageError(f"{what} cannot be read: {reason.lower()}", where=str(path), do=CHECK_FILE) from None
    if not text:
        raise StorageError(f"the file of {what} is empty", where=str(path))
    return text.splitlines()[0].strip()
