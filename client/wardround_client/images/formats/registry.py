"""The formats that are installed: each module of this package with a value ``FORMAT`` is one."""

from __future__ import annotations

from wardround_client.images import formats
from wardround_client.images.formats.contract import Format
from wardround_client.images.plugin_formats import Guarded, guarded
from wardround_client.images.source import PREAMBLE
from wardround_common.errors import ImageRefused
from wardround_common.installed import installed

_ENVELOPED = bytes.fromhex("06092a864886f70d010703")  # CMS EnvelopedData, the DICOM secure file of PS3.15 Annex D
_CIPHERTEXTS = (b"Salted__", b"age-encryption.org/", b"-----BEGIN PGP MESSAGE", b"-----BEGIN CMS", b"-----BEGIN PKCS7")


FORMATS: tuple[Format, ...] = tuple(
    sorted(installed(formats, "FORMAT", Format, besides=__name__), key=lambda found: (found.told_late, found.words))
)


def format_of(data: bytes, *, where: str, of_plugins: bool = True) -> Format | Guarded | None:
    """Tell by its first bytes, never by its name, what a file is; None for DICOM.

    Formats of plug-ins are asked last, so that none stands in the place of one that is installed; not at all where
    their code is not to see the file.

    Raises:
        ImageRefused: ``encrypted``, ``no-preamble`` or ``not-an-image``; ``format-plugin``: a plug-in's code fails.
    """
    if data[128:PREAMBLE] == b"DICM":
        return None
    for found in FORMATS:
        if found.matches(data):
            return found
    for brought in guarded() if of_plugins else ():
        if brought.matches(data):
            return brought
    if data.startswith(_CIPHERTEXTS) or (data[:1] == b"\x30" and _ENVELOPED in data[:64]):
        raise ImageRefused("encrypted", "the file is encrypted", where=where, do="Decrypt it first.")
    if data[:2] in (b"\x02\0", b"\x08\0", b"\0\x08") and data[2:4] != b"\0\0":
        raise ImageRefused(
            "no-preamble",
            "this looks like a DICOM data set without its preamble, so its encoding would have to be guessed",
            where=where,
            do="Rewrite it as a DICOM Part 10 file.",
        )
    words = ["DICOM", *(word for found in FORMATS for word in found.words)]
    raise ImageRefused("not-an-image", f"this is not {', '.join(words[:-1])} or {words[-1]}", where=where)
