"""Which mask outlines which series, over a whole folder: met, or not met and why, as counts that a scan can show.

DICOM masks say it themselves, by the series they reference, else by the frame of reference. Of other files somebody has
to say it: a table with a column ``mask``, or the mask's name (:func:`named`). Every mask is read once onto the grid of
its series, so that "met" means met by geometry.
"""

from __future__ import annotations

import csv
import math
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from wardround_client.images.dicom import quiet, refusing
from wardround_client.images.sop_class import sop_class_of
from wardround_client.images.source import check_pixel_count
from wardround_client.masks.formats.contract import Reader, SliceFormat
from wardround_client.masks.formats.registry import of_class, of_name
from wardround_client.masks.meet import Classes, Outlined
from wardround_client.masks.structures import Structures
from wardround_client.volumes import Series
from wardround_client.volumes.frames import header_of
from wardround_common.errors import ImageRefused, LabelError

FOLDER = "masks"
"""In a hospital's folder: masks named by patient (NIfTI), or by the image beside which they lie (PNG)."""
COLUMN = "mask"
_KEYS = ("file", "patient", "uid")
MOST_KEPT = 2**16
"""Bytes of a mask that is kept packed from the time when it was found to meet its series; a larger one is read again.
Outlines are mostly background: one of a head has about 5 KB, and to read it again takes as long as the images do."""


@dataclass(frozen=True, eq=False)
class Mask:
    """The outlines of a series, on its grid."""

    series_uid: str = field(repr=False)
    format: str
    """The name of the format of its files, such as ``seg``."""
    files: frozenset[Path] = field(repr=False)
    annotated: tuple[bool, ...]
    """Of each slice: whether somebody looked at it. Where nobody did, background does not mean "nothing there"."""
    defined: frozenset[int]
    """The structures, from 1, that its files speak of: that another one is background there may mean nothing."""
    voxels: tuple[int, ...]
    """Voxels of each structure of the study, the first one first."""
    notes: tuple[str, ...]
    read: Callable[[], Outlined] = field(repr=False)

    def __len__(self) -> int:
        return len(self.annotated)

    def slice(self, number: int) -> Classes:
        """Return the classes of a slice, from 0: (rows, columns) uint8; read once for slices asked for in a row.

        Raises:
            ImageRefused: a file cannot be read any more.
        """
        plane: Classes = self.volume()[number]
        return plane

    def volume(self) -> Classes:
        """Return the classes of all voxels: (slices, rows, columns) uint8.

        Raises:
            ImageRefused: a file cannot be read any more.
        """
        return _classes(self)


@lru_cache(maxsize=1)
def _classes(mask: Mask) -> Classes:
    classes = mask.read().classes
    classes.flags.writeable = False
    return classes


@dataclass(frozen=True)
class Unmet:
    """A mask that outlines nothing here, and why."""

    reason: str
    """A short fixed word that scans count by."""
    what: str
    do: str
    file: Path = field(repr=False)


@dataclass(frozen=True)
class Beside:
    """What somebody says of a mask that does not say itself what it outlines; one of the three is stated."""

    mask: Path = field(repr=False)
    patient: str = field(default="", repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    """An image: the mask outlines its series (NIfTI), or itself (PNG). It comes before the patient. Several where a
    name leaves open which file is the image: ``P1.json`` may lie beside ``P1.nii``."""
    uid: str = field(default="", repr=False)
    """SeriesInstanceUID."""


@dataclass(frozen=True)
class Found:
    """All masks of a folder."""

    masks: Mapping[str, Mask] = field(repr=False)
    """By the UID of the series. A series that is not here has no mask, which is not the same as nothing to outline."""
    unmet: tuple[Unmet, ...]

    def counts(self) -> dict[str, int]:
        """Count mask files: those that were ``met``, and the others by their reason."""
        met = len({file for mask in self.masks.values() for file in mask.files})
        return {"met": met, **Counter(one.reason for one in self.unmet)}


def find(
    series: Iterable[Series], outlines: Iterable[Path], structures: Structures, *, beside: Iterable[Beside] = ()
) -> Found:
    """Pair series with the DICOM masks among ``outlines`` and the others that ``beside`` names."""
    known = list(series)
    pairs: list[_Pair] = []
    unmet: list[Unmet] = []
    for path in outlines:
        with _noting(unmet, path):
            pairs += _dicom(path, known, structures)
    pictures = defaultdict[tuple[str, SliceFormat], dict[int, Path]](dict)
    for one in beside:
        with _noting(unmet, one.mask):
            if (named_so := of_name(one.mask)) is None:
                raise ImageRefused(
                    "other-object",
                    "masks with such names are not read",
                    do="Give it as a DICOM segmentation, a structure set or NIfTI.",
                    where=str(one.mask),
                )
            kind, _ = named_so
            if isinstance(kind, SliceFormat):
                of, number = _slice(one, known)
                pictures[of.uid, kind][number] = one.mask
            else:
                pairs += _met(_named(one, known), kind.name, one.mask, kind.read, structures)
    by_uid = {of.uid: of for of in known}
    for (uid, kind), slices in pictures.items():
        with _noting(unmet, *slices.values()):
            read = partial(_read_slices, by_uid[uid], kind, dict(slices), structures)
            pairs.append(_Pair.of(by_uid[uid], kind.name, slices.values(), read, len(structures.classes)))
    return _together(pairs, unmet, len(structures.classes))


@dataclass(frozen=True, eq=False)
class _Pair:
    """A mask that meets a series; its voxels were counted and let go."""

    series: Series
    format: str
    files: frozenset[Path]
    read: Callable[[], Outlined]
    annotated: tuple[bool, ...]
    defined: frozenset[int]
    voxels: tuple[int, ...]
    notes: tuple[str, ...]
    exact: bool

    @classmethod
    def of(cls, series: Series, kind: str, files: Iterable[Path], read: Callable[[], Outlined], most: int) -> _Pair:
        """Read a mask once.

        Raises:
            ImageRefused: it does not meet the series.
        """
        check_pixel_count(math.prod(series.geometry.shape), where="")
        with quiet():
            outlined = read()
        counted = np.bincount(outlined.classes.ravel(), minlength=most + 1)[1:]
        return cls(
            series,
            kind,
            frozenset(files),
            _packed(outlined) or read,
            tuple(bool(looked) for looked in outlined.annotated),
            outlined.defined,
            tuple(int(count) for count in counted),
            outlined.notes,
            outlined.exact,
        )


def _packed(outlined: Outlined) -> Callable[[], Outlined] | None:
    """Return what gives a mask again without its files; None if it takes too much room."""
    shape, packed = outlined.classes.shape, zlib.compress(np.ascontiguousarray(outlined.classes).data, 1)
    if len(packed) > MOST_KEPT:
        return None
    rest = replace(outlined, classes=np.empty((0, 0, 0), np.uint8))

    def unpacked() -> Outlined:
        return replace(rest, classes=np.frombuffer(bytearray(zlib.decompress(packed)), np.uint8).reshape(shape))

    return unpacked


@contextmanager
def _noting(unmet: list[Unmet], *files: Path) -> Iterator[None]:
    """Note a refusal for these files and go on."""
    try:
        yield
    except ImageRefused as error:
        unmet += [Unmet(error.reason, error.what, error.do, file) for file in files]


def _dicom(path: Path, known: list[Series], structures: Structures) -> list[_Pair]:
    with quiet():
        header, _ = header_of(path)
        with refusing("unreadable", "the attributes of the mask cannot be read", where=str(path)):
            if (kind := of_class(sop_class_of(header))) is None:
                raise ImageRefused(
                    "other-object",
                    "masks of this kind are not supported",
                    do="Give it as a DICOM segmentation, a structure set or NIfTI.",
                    where=str(path),
                )
            target = kind.target(header)
        of = target.among(known)
    return _met(of, kind.name, path, kind.read, structures)


def _met(of: Iterable[Series], kind: str, path: Path, read: Reader, structures: Structures) -> list[_Pair]:
    """Read a mask onto each series that it may outline: those on whose very voxels it lies, else those that it meets.

    Raises:
        ImageRefused: it meets none of them, as the first one has it.
    """
    pairs: list[_Pair] = []
    refused: list[ImageRefused] = []
    for one in of:
        try:
            pairs.append(_Pair.of(one, kind, [path], partial(read, path, one, structures), len(structures.classes)))
        except ImageRefused as error:
            refused.append(error)
    if not pairs:
        raise refused[0]
    return [pair for pair in pairs if pair.exact] or pairs


def _named(one: Beside, known: Iterable[Series]) -> list[Series]:
    """Return the series that a mask outlines by what somebody says of it."""
    if one.uid:
        found = [of for of in known if of.uid == one.uid]
    else:
        found = [of for of in known if not of.files.isdisjoint(one.files)]
        found = found or [of for of in known if one.patient and of.patient == one.patient]
    if not found:
        raise ImageRefused(
            "source-absent",
            "the images it outlines are missing, or were refused",
            do="Name the mask as its patient, or state it in a table with the columns 'mask' and 'file' or 'patient'.",
        )
    return found


def _slice(one: Beside, known: Iterable[Series]) -> tuple[Series, int]:
    """Return the slice beside which a picture lies."""
    here = [(of, number) for of in known for number, stored in enumerate(of.slices) if stored.file in one.files]
    if len(here) == 1:
        return here[0]
    raise ImageRefused(
        "source-absent",
        "a picture outlines one image, and that image is missing",
        do="Name the mask as its image, or state it in a table with the columns 'mask' and 'file'.",
    )


def _read_slices(of: Series, kind: SliceFormat, slices: Mapping[int, Path], structures: Structures) -> Outlined:
    _, rows, columns = of.geometry.shape
    made = np.zeros(of.geometry.shape, np.uint8)
    looked_at = np.zeros(len(of), np.bool_)
    for number, path in slices.items():
        made[number], looked_at[number] = kind.read(path, (rows, columns), structures), True
    return Outlined(made, looked_at, frozenset(range(1, len(structures.classes) + 1)))


def _together(pairs: Iterable[_Pair], unmet: list[Unmet], most: int) -> Found:
    """Make one mask for each series, of several files where each has structures of its own."""
    by_series = defaultdict[str, list[_Pair]](list)
    for pair in pairs:
        by_series[pair.series.uid].append(pair)
    masks: dict[str, Mask] = {}
    for uid, several in by_series.items():
        with _noting(unmet, *(file for pair in several for file in pair.files)):
            pair = several[0] if len(several) == 1 else _united(several, most)
            masks[uid] = Mask(
                uid, pair.format, pair.files, pair.annotated, pair.defined, pair.voxels, pair.notes, pair.read
            )
    return Found(masks, tuple(unmet))


def _united(several: list[_Pair], most: int) -> _Pair:
    if sum(len(pair.defined) for pair in several) > len(frozenset[int]().union(*(pair.defined for pair in several))):
        raise ImageRefused(
            "several-masks",
            "several masks outline the same structure of the same series",
            do="Keep only one: Wardround does not guess which reader is right.",
        )
    files = [file for pair in several for file in pair.files]
    read = partial(_read_united, [pair.read for pair in several])
    return _Pair.of(several[0].series, several[0].format, files, read, most)


def _read_united(reads: Iterable[Callable[[], Outlined]]) -> Outlined:
    """Lay masks of different structures together; a slice is annotated if all of them looked at it."""
    first, *others = (read() for read in reads)
    made, looked_at, defined, notes = first.classes.copy(), first.annotated, first.defined, first.notes
    for other in others:
        if ((made > 0) & (other.classes > 0)).any():
            raise ImageRefused(
                "overlap",
                "two structures of the study hold the same voxel, and a voxel has one class",
                do="Export each structure without the other, or leave one out.",
            )
        made += other.classes
        looked_at, defined, notes = looked_at & other.annotated, defined | other.defined, notes + other.notes
    return Outlined(made, looked_at, defined, notes)


def named(folder: Path) -> list[Beside]:
    """List the masks of a hospital's folder that are not DICOM, with what its tables and their names say of them.

    A table is a CSV file at the top of the folder with a column ``mask`` and one of ``file``, ``patient`` and ``uid``
    (of the series); paths are relative to the folder. Without a table, ``masks/NAME.png`` and ``masks/NAME.nii.gz`` lie
    next to the image of that path, whatever its ending; where there is none, the latter is of the patient NAME.

    Raises:
        LabelError: a table names a mask twice, or one that is not there.
    """
    stated = [one for table in sorted(folder.glob("*.csv")) for one in _table(table)]
    if stated:
        return stated
    below = folder / FOLDER
    masks = [path for path in sorted(below.rglob("*")) if of_name(path) is not None and path.is_file()]
    stems = {path: _stem(path.relative_to(below)) for path in masks}
    images = _by_stem(folder, stems.values())
    return [Beside(path, stem.name, tuple(images[stem])) for path, stem in stems.items()]


def _by_stem(folder: Path, stems: Iterable[Path]) -> Mapping[Path, list[Path]]:
    """List the files that bear these names, but for their endings; a folder may hold 100,000 others."""
    found: dict[Path, list[Path]] = {stem: [] for stem in stems}
    first_words = {stem.name.partition(".")[0] for stem in found}
    for place in {stem.parent for stem in found}:
        names = [entry.name for entry in os.scandir(folder / place)] if (folder / place).is_dir() else []
        for name in sorted(name for name in names if name.partition(".")[0] in first_words):
            stem = place / _stem(Path(name))
            if stem in found and (folder / place / name).is_file():
                found[stem].append(folder / place / name)
    return found


def _stem(path: Path) -> Path:
    named_so = of_name(path)
    return path.with_suffix("") if named_so is None else path.with_name(path.name[: -len(named_so[1])])


def _table(path: Path) -> list[Beside]:
    folder = path.parent
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if COLUMN not in (rows.fieldnames or ()):
                return []
            keys = [key for key in _KEYS if key in (rows.fieldnames or ())]
            stated = [(row[COLUMN] or "", {key: (row[key] or "").strip() for key in keys}) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []  # what is wrong with a table of labels is said where labels are read
    made: dict[Path, Beside] = {}
    for number, (mask, says) in enumerate(stated, 2):
        if not mask.strip():
            continue
        at = folder / mask.strip()
        if not at.is_file():
            raise LabelError(
                "the table names a mask that does not exist",
                where=f"{path.name} line {number}",
                do="Write its path relative to the folder, with '/'.",
            )
        if at in made:
            raise LabelError("the table names a mask twice", where=f"{path.name} line {number}", do="Keep one line.")
        files = (folder / says["file"],) if says.get("file") else ()
        made[at] = Beside(at, "" if files else says.get("patient", ""), files, says.get("uid", ""))
    return list(made.values())
