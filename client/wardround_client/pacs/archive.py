"""What an archive is asked for, and what it answers, whichever way it is reached: DICOM or DICOMweb."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from wardround_client.images.sop_class import other_class
from wardround_common.errors import PacsError

WILD = frozenset("*?")
OUTLINES = frozenset({"segmentation", "contours"})
"""What is fetched beside images, in the words of ``sop_class``."""


@dataclass(frozen=True)
class Query:
    """Which studies are looked for; DICOM's wildcards ``*`` and ``?`` count unless ``exact``."""

    patient: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    study: str = field(default="", repr=False)
    dates: tuple[date | None, date | None] = (None, None)
    modality: str = ""
    description: str = field(default="", repr=False)
    exact: bool = False
    """Whether the values are identifiers of a work list, which mean themselves and nothing that looks like them."""

    def __post_init__(self) -> None:
        values = (self.patient, self.accession, self.study, self.modality, self.description)
        if not any(values) and self.dates == (None, None):
            raise PacsError("this would list the whole archive", do="Say whose studies, or which: at least a date.")
        first, last = self.dates
        if first is not None and last is not None and last < first:
            raise PacsError(f"the last day, {last}, is before the first, {first}", do="Write the earlier day first.")
        if any("\\" in value or not value.isprintable() for value in values):
            raise PacsError("a backslash or a control character cannot be looked for", do="Remove it.")
        if self.exact and any(WILD & set(value) for value in (self.patient, self.accession, self.study)):
            raise PacsError(
                "an identifier holds '*' or '?', which an archive takes for any characters",
                do="Name such a study by its StudyInstanceUID.",
            )

    @property
    def range(self) -> str:
        """Return the dates as DICOM matches them (PS3.4, C.2.2.2.5); empty for any."""
        first, last = ("" if day is None else f"{day:%Y%m%d}" for day in self.dates)
        return first if first == last else f"{first}-{last}"

    def admits(self, study: Study) -> bool:
        """Tell whether an answer is one to this question: archives ignore keys that they do not match by, in silence.

        What identifies must be there and equal; a modality or description that the archive does not state is admitted.
        """
        equal = ((self.patient, study.patient), (self.accession, study.accession), (self.study, study.uid))
        if not all(self._same(asked, said) for asked, said in equal if asked):
            return False
        first, last = ("" if day is None else f"{day:%Y%m%d}" for day in self.dates)
        if (first or last) and not (study.date and first <= study.date and (not last or study.date <= last)):
            return False
        if self.modality and study.modalities and self.modality.upper() not in study.modalities:
            return False
        pattern = f"*{self.description}*".casefold()
        return not (self.description and study.description) or _like(study.description.casefold(), pattern)

    def _same(self, asked: str, said: str) -> bool:
        return said == asked or (not self.exact and _like(said.casefold(), asked.casefold()))


def _like(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


@dataclass(frozen=True)
class Study:
    """A study as the archive lists it."""

    uid: str
    patient: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    date: str = field(default="", repr=False)
    """YYYYMMDD, or empty."""
    modalities: tuple[str, ...] = ()
    description: str = field(default="", repr=False)
    instances: int | None = None
    """How many instances the archive counts, where it says."""


@dataclass(frozen=True)
class Instance:
    """An instance as the archive lists it."""

    study: str
    series: str
    uid: str
    sop_class: str = ""
    """Empty where the archive does not say."""
    syntax: str = ""
    """The transfer syntax in which the archive keeps it; empty where it does not say."""

    @property
    def left(self) -> str:
        """Say why it stays in the archive: it is neither an image nor an outline; empty where it is fetched."""
        reason, words = other_class(self.sop_class) or ("", "")
        return "" if reason in OUTLINES else words


Take = Callable[[bytes], bool]
"""Takes a DICOM file as it was received; says whether it was asked for."""
Outcome = dict[str, str]
"""SOPInstanceUID to why the archive did not accept it; empty words where it did."""


class Archive(Protocol):
    """An archive. Each function raises PacsError where it is away, refuses, or answers what is no answer."""

    @property
    def where(self) -> str:
        """Say how it is reached, for messages."""
        ...

    def opened(self) -> AbstractContextManager[Archive]:
        """Keep open what several studies need: it is left again when they are done."""
        ...

    def echo(self) -> None:
        """Ask whether it is there."""
        ...

    def find(self, query: Query, most: int) -> list[Study]:
        """Return the studies that it lists for a query, up to ``most``: not yet checked by ``Query.admits``."""
        ...

    def instances(self, study: str) -> list[Instance]:
        """Return every instance of a study that it lists."""
        ...

    def send(self, wanted: Sequence[Instance], take: Take) -> str:
        """Let it send these instances of one study; return what it said where it did not send all of them."""
        ...

    def store(self, files: Sequence[StoredFile]) -> Outcome:
        """Send it these files."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A file to be stored, with what its header says."""

    content: bytes = field(repr=False)
    instance: Instance
    patient: str = field(default="", repr=False)


def checked(studies: Iterable[Study], query: Query) -> list[Study]:
    """Return the studies that are answers to a query, each once."""
    return list({study.uid: study for study in studies if query.admits(study)}.values())
