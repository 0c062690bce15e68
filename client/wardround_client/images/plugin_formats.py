"""Formats of plug-ins: let in by the digest of their package, and kept from what a reader may not do.

A format is a hospital's own matter: the files of its research archive, which no study can know. A process reads those
that were last named, and what was read with other formats is read again. A plug-in says what a file holds, and
nothing else of the file goes on: pixels, distances, whose image it is, and the modality. Each file is read twice, since
all that is kept of an image goes by the digest of its pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import numpy as np

from wardround_client.images.formats.contract import Format, Plain
from wardround_client.images.source import HEAD, check_pixel_count
from wardround_common.errors import DataError, ImageRefused, PluginError
from wardround_common.kinds import kind_of
from wardround_common.plugins.blame import FAULTS, LONGEST, failed_at
from wardround_common.plugins.files import read_files
from wardround_common.plugins.limited import Limited, asked_again
from wardround_common.plugins.loading import admit, imported_anew, loaded, part
from wardround_common.plugins.names import Named, is_plugin, package_of, part_of

T = TypeVar("T")
LIMIT_S = 60.0
"""How long a file may take; a reader that is asked for longer is ended (``intake.readers``)."""
LARGEST_ITEM = 8
"""Bytes of a pixel's value, at most."""
FAILED = "format-plugin"
"""The reason under which files are counted that a plug-in's code failed on, or said of what cannot be."""
_REASONS = frozenset({"unreadable", "truncated", "codec", "shape", "too-large", "too-many-pixels", "mask", "no-memory"})
"""Reasons that a plug-in may give itself: words of ours, since they are counted and told."""
_PINNED = re.compile(r"([^@\s]{3,64})@([0-9a-f]{64})")
_FINDINGS = frozenset({"identity"})


@dataclass(frozen=True, eq=False)
class Guarded:
    """A plug-in's format, whose code is called with a limit of time and whose answers are checked."""

    name: str
    named: Named
    of: Format = field(repr=False)
    limited: Limited = field(repr=False)
    files: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def matches(self, head: bytes) -> bool:
        """Tell by its first 1,024 bytes whether a file is one.

        Raises:
            ImageRefused: its code fails.
        """
        return self._told(lambda: bool(self.of.matches(head[:HEAD])), "")

    def read(self, data: bytes, where: str) -> Plain:
        """Read a whole file.

        Raises:
            ImageRefused: as it says itself; ``format-plugin``: its code fails, or says what cannot be.
            PluginError: it says something else of a file after others than before any; only where :func:`alone`.
        """
        first, again = (self._asked(data, where) for _ in range(2))
        if _said(first) != _said(again):
            raise ImageRefused(FAILED, f"{self._whose}: it reads something else of the same file again", where=where)
        number = next(self.files)
        if _alone and asked_again(number):
            self._ask_anew(data, where, first)
        return first

    def _ask_anew(self, data: bytes, where: str, first: Plain) -> None:
        """Ask code that has seen no other file: what was taken from the first one and kept comes out the same twice."""
        with imported_anew(self.named.package):
            said = replace(self, of=part("format", self.name))._asked(data, where)
        if _said(said) != _said(first):
            raise PluginError(
                f"its format {part_of(self.name)!r} reads something else of a file after other files",
                where=self._whose,
                do="It must keep nothing between files: ask whoever wrote the plug-in.",
            )

    def _asked(self, data: bytes, where: str) -> Plain:
        given = self._told(lambda: self._read(data), where)
        if isinstance(given, ImageRefused):
            reason = given.reason if isinstance(given.reason, str) and given.reason in _REASONS else FAILED
            said = " ".join(str(given.what).split())[:LONGEST]
            raise ImageRefused(reason, f"{self._whose}: {said}", where=where)
        return given

    def _read(self, data: bytes) -> Plain | ImageRefused:
        """Call its code, which is not told what the file is called, and check what it says."""
        try:
            plain: Any = self.of.read(data, "the file")
            if isinstance(plain, Plain) and isinstance(plain.stored, np.ndarray):
                check_pixel_count(plain.stored.size, where="the file")  # before it is copied: a view may claim any
        except ImageRefused as refused:
            return refused
        if fault := _fault(plain):
            raise PluginError(f"its format {part_of(self.name)!r} {fault}", where=self._whose)
        return Plain(
            np.array(plain.stored, plain.stored.dtype.newbyteorder("="), order="C"),
            plain.name,
            plain.frames,
            plain.colour,
            plain.spacing_mm,
            dict(plain.findings),
            plain.patient.strip(),  # as a PatientID, whose padding means nothing
            plain.modality,
        )

    def _told(self, act: Callable[[], T], where: str) -> T:
        """Let its code act; what it raises is told by its place and kind alone, since words may quote the file."""

        def try_it() -> T:
            try:
                return act()
            except (MemoryError, PluginError):
                raise
            except FAULTS as error:
                at = failed_at(error)
                place = f"at {at[1]}" if at else f"in its format {part_of(self.name)!r}"
                raise PluginError(f"its code failed {place}: {type(error).__name__}", where=self._whose) from None

        try:
            return self.limited(try_it)
        except PluginError as error:
            raise ImageRefused(FAILED, f"{error.where}: {error.what}", where=where) from None
        except MemoryError:
            raise ImageRefused("no-memory", "there is not enough memory to read the file", where=where) from None

    @property
    def _whose(self) -> str:
        return f"plug-in {self.named.package} {self.named.version}"


_let_in: dict[str, Guarded] = {}
_alone = False


def alone() -> None:
    """Say that nothing else in this process runs code of plug-ins, so that it can be imported anew to be compared."""
    global _alone
    _alone = True


def pin(name: str) -> str:
    """Return a format's name with the digest of its package as it is installed here: ``PACKAGE:PART@SHA256``.

    Raises:
        DataError: it is no name of a plug-in's part.
        PluginError: the package is not installed, or cannot be pinned.
    """
    if not is_plugin(name):
        raise DataError(
            f"{name[:80]!r} is no format of a plug-in", do="Write PACKAGE:PART, as 'wardround study plugin' lists them."
        )
    return f"{name}@{read_files(package_of(name)).named.sha256}"


def let_in(pinned: Iterable[str]) -> None:
    """Read files of these formats too, from now on in this process, if exactly what is named is installed.

    Raises:
        DataError: one is not ``PACKAGE:PART@SHA256``.
        PluginError: another package is installed, or it has no such format.
    """
    for one in pinned:
        if one in _let_in:
            continue
        found = _PINNED.fullmatch(one)
        if found is None or not is_plugin(found[1]):
            raise DataError(
                f"{one[:160]!r} names no format",
                do="Write PACKAGE:PART@SHA256; 'wardround scan FOLDER --format PACKAGE:PART' prints it.",
            )
        name, sha256 = found[1], found[2]
        running = loaded(name)
        here = running if running and running.sha256 == sha256 else read_files(package_of(name)).named
        if here.sha256 != sha256:
            raise PluginError(
                f"the format {name} is named with the SHA-256 {sha256}, and installed is {here.package} {here.version} "
                f"with the SHA-256 {here.sha256}",
                do="Install the package that is named, or name this one: all files are read again then.",
            )
        if here != running:
            admit(here)
        of: Any = part("format", name)
        if not isinstance(of, Format):
            raise PluginError(
                f"its format {part_of(name)!r} is no Format but {kind_of(of)}",
                where=f"plug-in {here.package} {here.version}",
            )
        limited = Limited(f"its format {part_of(name)!r}", f"plug-in {here.package} {here.version}", LIMIT_S)
        _let_in[one] = Guarded(name, here, of, limited)


def let_in_only(pinned: Iterable[str]) -> None:
    """Read files of these formats from now on, and no longer those of formats that were let in before.

    Raises:
        DataError, PluginError: as :func:`let_in`; then all is as it was.
    """
    wanted = tuple(pinned)
    let_in(wanted)
    for one in _let_in.keys() - set(wanted):
        del _let_in[one]


def hung() -> bool:
    """Tell whether code of one of the formats has not ended in its time: in this process it is called no more."""
    return any(one.limited.stuck for one in guarded())


def formats_let_in() -> tuple[str, ...]:
    """Return the formats of plug-ins that this process reads, each with its digest."""
    return tuple(sorted(_let_in))


def guarded() -> list[Guarded]:
    """Return them as they are called, in an order that no installation decides."""
    return [_let_in[one] for one in formats_let_in()]


def _said(plain: Plain) -> tuple[object, ...]:
    stored = plain.stored
    about = (plain.name, plain.frames, plain.colour, plain.spacing_mm, plain.patient, plain.modality)
    return (stored.dtype.str, stored.shape, stored.tobytes(), *about, tuple(sorted(plain.findings.items())))


def _fault(plain: Any) -> str:
    """Say what is wrong with what a plug-in says of a file; nothing if it can be used."""
    if not isinstance(plain, Plain):
        return f"gives no Plain but {kind_of(plain)}"
    stored: Any = plain.stored
    is_array = isinstance(stored, np.ndarray) and bool(stored.size)
    if not is_array or stored.dtype.kind not in "uif" or stored.dtype.itemsize > LARGEST_ITEM:
        return "gives pixels that are no array of whole or floating-point numbers of up to 64 bits"
    form = (*((plain.frames,) if plain.frames != 1 else ()), *stored.shape[-2 - bool(plain.colour) :])
    if stored.shape != form or stored.ndim < 2 + bool(plain.colour) or (plain.colour and stored.shape[-1] != 3):
        return f"gives pixels of the shape {stored.shape} for {plain.frames} frames, colour {plain.colour}"
    distances = plain.spacing_mm
    if distances is not None and not (
        isinstance(distances, tuple)
        and len(distances) in (2, 3)
        and all(isinstance(one, float) and np.isfinite(one) and one > 0 for one in distances)
    ):
        return "gives distances that are no two or three lengths in mm"
    if not isinstance(plain.name, str) or not re.fullmatch(r"[A-Z][A-Z0-9 -]{0,15}", plain.name):
        return "is listed by no name of capital letters"
    if not isinstance(plain.modality, str) or not re.fullmatch(r"[A-Z]{1,16}", plain.modality):
        return "gives no modality, such as 'MR' or 'OTHER'"
    if not isinstance(plain.patient, str) or len(plain.patient) > 64 or not plain.patient.isprintable():
        return "gives a patient that is no text of up to 64 characters"
    if not {*plain.findings} <= _FINDINGS or not all(isinstance(one, str) for one in plain.findings.values()):
        return f"gives findings besides {', '.join(sorted(_FINDINGS))}"
    return ""
