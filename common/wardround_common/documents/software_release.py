"""A release: a folder of files, the SHA-256 of each, and one signature over that list.

It is a release of Wardround, or of a model (``model_release.py``), which also has files in folders below.

``SHA-256SUMS`` has the form of ``sha256sum``, and ``SHA-256SUMS.sig`` is an Ed25519 signature over its bytes alone, so
that somebody who has no Wardround yet can check both with ``sha256sum`` and ``openssl`` (docs/releases.md).
``release-key.pem`` is the public key. Whose key it is a file cannot say: people compare the fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from wardround_common.errors import CHECK_FILE, MessageError, StorageError
from wardround_common.keys.identity import Identity, fingerprint
from wardround_common.storage import write_atomically

SUMS, SIGNATURE, KEY = "SHA-256SUMS", "SHA-256SUMS.sig", "release-key.pem"
ABOUT_ITSELF = frozenset({SUMS, SIGNATURE, KEY})
"""What a list of sums cannot list."""
LARGEST_BYTES = 256 * 1024  # of the list, the signature and the key, each
_NAME = "[A-Za-z0-9][A-Za-z0-9._+,-]{0,199}"
_LINE = re.compile(f"([0-9a-f]{{64}})  ({_NAME})")
_BELOW = "[A-Za-z0-9_][A-Za-z0-9._+,-]{0,199}"
_LINE_BELOW = re.compile(f"([0-9a-f]{{64}})  ({_BELOW}(?:/{_BELOW}){{0,3}})")
_ANEW = "Get the release again, from its makers."


@dataclass(frozen=True)
class Sums:
    """The SHA-256 of each file of a release, by its name, in 64 hexadecimal digits."""

    of: Mapping[str, str]

    @classmethod
    def parse(cls, content: bytes, where: str = SUMS, *, below: bool = False) -> Sums:
        """Read a list of sums: lines of ``sha256sum``, sorted, names without folders unless ``below`` allows them.

        Raises:
            MessageError: it is no such list.
        """
        lines = content.decode("ascii", "replace").splitlines()
        found = [match for line in lines if (match := (_LINE_BELOW if below else _LINE).fullmatch(line))]
        sums = cls({match[2]: match[1] for match in found})
        if not found or sums.content() != content or ABOUT_ITSELF & sums.of.keys():
            raise MessageError("this is not a list of the SHA-256 of a release's files", where=where, do=_ANEW)
        return sums

    @classmethod
    def taken(cls, folder: Path) -> Sums:
        """Take the sums of all files of a folder.

        Raises:
            StorageError: one cannot be read.
        """
        return cls({name: digest_of(folder / name) for name in names_in(folder) if name not in ABOUT_ITSELF})

    def content(self) -> bytes:
        """Return the list as a file, in the only form that is read again."""
        return "".join(f"{self.of[name]}  {name}\n" for name in sorted(self.of)).encode()

    def faults(self, found: Mapping[str, str], names: Sequence[str] | None = None) -> list[str]:
        """Say of each file that was found how it differs from the list; of all files, or of ``names`` only."""
        said = []
        for name in sorted({*self.of, *found}) if names is None else names:
            if name not in self.of:
                said.append(f"{name} is not part of this release")
            elif name not in found:
                said.append(f"{name} is missing")
            elif found[name] != self.of[name]:
                said.append(f"{name} was changed")
        return said


@dataclass(frozen=True)
class Verified:
    """What was verified, and with whose key."""

    public: bytes
    names: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """What people compare: 20 digits that stand for the key."""
        return fingerprint(self.public)


def sign(folder: Path, identity: Identity, *, below: bool = False) -> Sums:
    """Sign a release whose sums are listed in it; writes the signature and the public key.

    The sums are checked against the files first, so that they can be taken on one machine and signed on another.

    Raises:
        MessageError: there is no proper list of sums.
        StorageError: a file is not as it is listed, or cannot be read or written.
    """
    content = _read(folder, SUMS, "no list of sums: this is not a release")
    sums = Sums.parse(content, str(folder / SUMS), below=below)
    refuse(sums.faults(Sums.taken(folder).of), folder)
    write_atomically(folder / SIGNATURE, Ed25519PrivateKey.from_private_bytes(identity.secret).sign(content))
    write_atomically(folder / KEY, _public_pem(identity.public))
    return sums


def verify(folder: Path, names: Sequence[str] | None = None, *, below: bool = False) -> Verified:
    """Verify a release: its signature, then every file in the folder, or those of these names only.

    ``below``: its files may lie in folders below, as those of a model do.

    Raises:
        MessageError: it is not signed, or the signature is not over this list by the key that lies next to it.
        StorageError: a file was changed, is missing or was added, each is named; or one cannot be read.
    """
    content = _read(folder, SUMS, "no list of sums lies next to it: this is not a release")
    if not (folder / SIGNATURE).exists():
        raise MessageError("this release is not signed", where=str(folder), do="Ask its makers for the signed one.")
    public = signer(folder, content)
    sums = Sums.parse(content, str(folder / SUMS), below=below)
    found = Sums.taken(folder).of if names is None else {n: digest_of(folder / n) for n in names if n in sums.of}
    refuse(sums.faults(found, names), folder)
    return Verified(public, tuple(sorted(sums.of) if names is None else names))


def signer(folder: Path, sums: bytes) -> bytes:
    """Return the public key, 32 bytes, with which the list of sums in a folder is signed.

    Raises:
        MessageError: the signature is not over this list by the key that lies next to it.
        StorageError: a file is missing or cannot be read.
    """
    signature = _read(folder, SIGNATURE, "the signature is missing")
    key = read_public_key(_read(folder, KEY, "the public key is missing"), str(folder / KEY))
    try:
        key.verify(signature, sums)
    except InvalidSignature:
        raise MessageError(
            f"the signature of this release is not valid: {SUMS} was changed, or signed by somebody else",
            where=str(folder),
            do=_ANEW,
        ) from None
    return key.public_bytes_raw()


class Fingerprinted(Protocol):
    """What a fingerprint says the signer of."""

    @property
    def fingerprint(self) -> str:
        """20 digits that stand for the signer's key."""
        ...


def check_signer(verified: Fingerprinted, expected: str, where: str = "") -> None:
    """Check the signer against the fingerprint that a person knows; spaces do not count.

    Raises:
        MessageError: it is another.
    """
    if "".join(expected.split()) != "".join(verified.fingerprint.split()):
        raise MessageError(
            f"this release is signed with another key: {verified.fingerprint}",
            where=where,
            do="Do not use any of it. Compare the fingerprint with its makers through a different channel.",
        )


def names_in(folder: Path) -> list[str]:
    """Name every file of a folder and below it, sorted.

    Raises:
        StorageError: it cannot be read.
    """
    if not folder.is_dir():
        what = "this is a file, and a release is a folder" if folder.exists() else "there is no such folder"
        raise StorageError(what, where=str(folder), do="Check the path.")
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(
            f"the file cannot be read: {(error.strerror or '').lower()}", where=str(path), do=CHECK_FILE
        ) from None


def _read(folder: Path, name: str, absent: str) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            return file.read(LARGEST_BYTES)
    except FileNotFoundError:
        raise StorageError(absent, where=str(folder / name), do=_ANEW) from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise StorageError(f"the file cannot be read: {reason}", where=str(folder / name), do=CHECK_FILE) from None


def read_public_key(content: bytes, where: str, do: str = _ANEW) -> Ed25519PublicKey:
    """Read an Ed25519 public key, PEM.

    Raises:
        MessageError: it is no such key.
    """
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise MessageError("this is not an Ed25519 public key", where=where, do=do)
    return key


def _public_pem(public: bytes) -> bytes:
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def refuse(faults: Sequence[str], folder: Path) -> None:
    """Refuse a folder whose files are not as they are listed.

    Raises:
        StorageError: there is a fault; each is said.
    """
    if faults:
        raise StorageError("; ".join(faults), where=str(folder), do=f"Do not use any of it. {_ANEW}")
