"""Which series of a hospital a study takes, patient by patient, and which mask outlines them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wardround_client.intake.instance import Index
from wardround_client.intake.labels import ROLES_FILE, STRUCTURES_FILE
from wardround_client.masks import Beside, Mask, Structures, find, named
from wardround_client.preparation.source import Source
from wardround_client.volumes import Series, choose, examinations, roles_in, survey
from wardround_common.errors import LabelError
from wardround_common.study.series import Wanted

MASK_REASONS = ("segmentation", "contours")
"""Under which the scan refuses what is no image, and may outline one."""
_WORD, _CLASS = "word", "class"


@dataclass(frozen=True, eq=False)
class Examination:
    """The series of one patient at one time that a study takes, and what is outlined in them."""

    channels: tuple[Series, ...]
    """In the order of the study's roles."""
    reference: Series
    """The one on whose grid the mask lies."""
    mask: Mask = field(repr=False)

    @property
    def files(self) -> frozenset[Path]:
        """The image files that hold them."""
        return frozenset[Path]().union(*(series.files for series in self.channels))


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a study takes of a hospital's series, and why it leaves the others."""

    taken: tuple[Examination, ...]
    left_out: Mapping[Path, str] = field(repr=False)
    """Image file to the reason why it is not used."""
    masks: frozenset[Path] = field(repr=False)
    """Files that outline something, and are no images."""
    unmet: tuple[tuple[Path, str], ...] = field(repr=False)
    """Masks that outline nothing here, each with the reason."""


def mask_files(source: Source, index: Index) -> tuple[list[Path], list[Beside]]:
    """List the files that may outline something: DICOM objects, and what lies next to the images.

    Raises:
        LabelError: a table names a mask twice, or one that is not there.
    """
    folder = source.folder
    dicom = [folder / refusal.file for refusal in index.refused if refusal.reason in MASK_REASONS]
    return dicom, named(folder)


def choose_examinations(
    source: Source,
    index: Index,
    images: Sequence[str],
    wanted: Sequence[Wanted],
    classes: tuple[str, ...],
) -> Chosen:
    """Assemble the series of these files, tell apart those that the study takes, and find their masks.

    Raises:
        LabelError: a table of the hospital's cannot be read, or contradicts itself or the study.
    """
    folder = source.folder
    outlines, beside = mask_files(source, index)
    aside = frozenset([*outlines, *(one.mask for one in beside)])
    seen = survey(path for file in images if (path := folder / file) not in aside)
    patients = {folder / one.file: one.patient for one in index.accepted}
    series = [_with_patient(one, patients) for one in seen.series]
    left_out = {file: refused.reason for refused in seen.refused for file in refused.files}
    roles = roles_in(folder / ROLES_FILE, wanted) if (folder / ROLES_FILE).is_file() else None
    found: list[tuple[Series, ...]] = []
    for several in examinations(series).values():
        choice = choose(several, wanted, roles)
        reason = "unclear-series" if choice.open else "missing-series" if choice.missing else ""
        if not reason:
            found.append(tuple(choice.taken[one.role] for one in wanted))
        used = [] if reason else found[-1]
        left_out |= {file: reason or "other-series" for one in several if one not in used for file in one.files}
    structures = Structures(classes, _words_in(folder / STRUCTURES_FILE, classes))
    # What says itself which series it outlines may name any; what is of a patient is of the series that are taken.
    stated = find(series, outlines, structures)
    named_here = find([one for several in found for one in several], (), structures, beside=beside)
    twice = stated.masks.keys() & named_here.masks.keys()  # which reader is right is not guessed
    masks = {uid: mask for uid, mask in {**named_here.masks, **stated.masks}.items() if uid not in twice}
    taken = []
    for channels in found:
        outlined = [one for one in channels if one.uid in masks and any(masks[one.uid].annotated)]
        none = "several-masks" if any(one.uid in twice for one in channels) else "no-mask"
        reason = _unlike_frame(channels, outlined[0]) if outlined else none
        if reason:
            left_out |= {file: reason for one in channels for file in one.files}
        else:
            taken.append(Examination(channels, outlined[0], masks[outlined[0].uid]))
    unmet = tuple((one.file, one.reason) for one in (*stated.unmet, *named_here.unmet))
    return Chosen(tuple(taken), left_out, aside, unmet)


def _with_patient(series: Series, patients: Mapping[Path, str]) -> Series:
    """Name the patient of a series whose file does not: NIfTI states none."""
    if series.patient:
        return series
    return replace(series, patient=patients.get(min(series.files), ""))


def _unlike_frame(channels: Iterable[Series], reference: Series) -> str:
    """Say why series cannot be laid on one another: positions that are measured from different origins are no guide."""
    frames = {one.frame_of_reference for one in channels}
    return "" if frames == {reference.frame_of_reference} else "other-frame"


def _words_in(path: Path, classes: tuple[str, ...]) -> dict[str, str]:
    """Read a hospital's words for the study's structures: CSV with ``word`` and ``class``, empty for none of them.

    Raises:
        LabelError: the table cannot be read, lacks a column, or names a structure that the study does not have.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {_WORD, _CLASS} <= {*(rows.fieldnames or ())}:
                raise LabelError(f"the table of structures needs the columns '{_WORD}' and '{_CLASS}'", where=path.name)
            return dict(_stated(rows, classes, path.name))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(
            f"the table of structures cannot be read ({type(error).__name__})",
            where=path.name,
            do="Check that this user may read it, and save it as 'CSV UTF-8'.",
        ) from None


def _stated(rows: Iterable[Mapping[str, str]], classes: tuple[str, ...], name: str) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, 2):
        word, meaning = (row[_WORD] or "").strip(), (row[_CLASS] or "").strip()
        if word and meaning and meaning not in classes:
            raise LabelError(
                "the study has no such structure",
                where=f"{name} line {number}",
                do=f"Its structures: {', '.join(classes)}; an empty 'class' leaves the word out.",
            )
        if word:
            yield word, meaning
