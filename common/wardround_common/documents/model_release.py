"""A release of a model: its folder, the SHA-256 of each file, and a signature over that list where somebody signed.

The list and the signature have the form of a release of Wardround (``software_release.py``), so that ``sha256sum`` and
``openssl`` check both. A coordinator signs with its identity, whose fingerprint hospitals know since they enrolled; a
researcher signs with a key of their own, or not at all. Everything else that an identity signs begins with a fixed
frame (``keys/identity.py``), which is no line of sums: neither can pass for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wardround_common.documents.software_release import KEY, SIGNATURE, SUMS, Sums, read_public_key, refuse, sign
from wardround_common.documents.software_release import LARGEST_BYTES as LARGEST_LIST_BYTES
from wardround_common.documents.software_release import signer as signer_of
from wardround_common.errors import CHECK_FILE, MessageError, StorageError
from wardround_common.keys.identity import KEY_BYTES, Identity, fingerprint
from wardround_common.storage import write_atomically

FINGERPRINT_DIGITS = 20
_NAME_SIGNER = "Name who must have signed by the 20 digits of a fingerprint, the 64 of a key, or a PEM file of the key."


@dataclass(frozen=True)
class VerifiedModel:
    """A model's release whose files are all as they are listed."""

    public: bytes | None
    """The signer's key, 32 bytes; None if nobody signed it."""
    names: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """What people compare: 20 digits that stand for the signer's key; empty if nobody signed."""
        return "" if self.public is None else fingerprint(self.public)


def seal(folder: Path, identity: Identity | None) -> Sums:
    """List the SHA-256 of each file of a model's folder, and sign the list if there is an ``identity``.

    Raises:
        StorageError: a file cannot be read or written.
        MessageError: a file has a name that no such list holds.
    """
    for name in (SIGNATURE, KEY):
        (folder / name).unlink(missing_ok=True)  # of the list that is written anew
    sums = Sums.taken(folder)
    content = sums.content()
    Sums.parse(content, str(folder / SUMS), below=True)  # a name that it could not be read with is found here
    write_atomically(folder / SUMS, content)
    if identity is not None:
        sign(folder, identity, below=True)
    return sums


def verify_model(folder: Path) -> VerifiedModel:
    """Verify a model's release: the signature if there is one, and every file.

    Raises:
        MessageError: the signature is not over this list by the key that lies next to it, or this is no such list.
        StorageError: a file was changed, is missing or was added, each is named; or it is a folder of an older form.
    """
    public, sums = _sealed(folder)
    refuse(sums.faults(Sums.taken(folder).of), folder)
    return VerifiedModel(public, tuple(sorted(sums.of)))


def check_files(folder: Path) -> None:
    """Check that the files of a model's folder are as they are listed, where there is a list; others may lie there.

    Raises:
        MessageError: the list has another form, or its signature is not valid.
        StorageError: a file was changed or is missing.
    """
    if not (folder / SUMS).exists():
        return  # of an older form: its card lists digests
    _, sums = _sealed(folder)
    found = Sums.taken(folder).of
    refuse(sums.faults({name: found[name] for name in sums.of if name in found}), folder)


def expected_signer(given: str) -> str:
    """Return the fingerprint of what a person typed: a fingerprint, 64 hexadecimal digits, or a public key's file.

    Raises:
        MessageError: it is none of them.
        StorageError: the file cannot be read.
    """
    path, typed = Path(given), "".join(given.lower().split())
    if path.is_file():
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_LIST_BYTES)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise StorageError(f"the public key cannot be read: {reason}", where=given, do=CHECK_FILE) from None
        return fingerprint(read_public_key(content, given, do=_NAME_SIGNER).public_bytes_raw())
    if len(typed) == 2 * KEY_BYTES and set(typed) <= set("0123456789abcdef"):
        return fingerprint(bytes.fromhex(typed))
    if not (len(typed) == FINGERPRINT_DIGITS and typed.isdecimal()):
        raise MessageError("this is no fingerprint, no public key, and no file of one", where=given, do=_NAME_SIGNER)
    return given


def _sealed(folder: Path) -> tuple[bytes | None, Sums]:
    """Return who signed the list of sums, None for nobody, and the list."""
    try:
        with (folder / SUMS).open("rb") as file:
            content = file.read(LARGEST_LIST_BYTES)
    except FileNotFoundError:
        raise StorageError(
            f"this model's folder is of an older form, or {SUMS} is missing: only what its card lists can be checked",
            where=str(folder),
            do="Ask for it anew: 'wardround export RUN' or 'wardround coordinator export DIR RUN' writes the list.",
        ) from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise StorageError(f"the file cannot be read: {reason}", where=str(folder / SUMS), do=CHECK_FILE) from None
    # Either of the two alone is a signature of which a part was taken away, and no unsigned release.
    signed = (folder / SIGNATURE).exists() or (folder / KEY).exists()
    public = signer_of(folder, content) if signed else None
    return public, Sums.parse(content, str(folder / SUMS), below=True)


def not_signed(folder: Path) -> MessageError:
    """Say that nobody signed a release."""
    return MessageError(
        "nobody signed this model: its files are as they are listed, but anyone could have listed them",
        where=str(folder),
        do="Ask for a signed one, or accept it with --unsigned, as where you simulated it yourself.",
    )
