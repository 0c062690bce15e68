"""``[data] variables``: what a hospital knows of a patient besides images, as numbers that a network reads.

A study states what a written value means: a number between two limits, or one of some words. The rule is small, so that
everybody can know what it does. What is missing, or is no such value, is told to the network as missing: nothing is
filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wardround_common.one_form import one_form
from wardround_common.section import Stated, Word
from wardround_common.study.subgroups import UNSTATED, number_of, years_of

MOST_VARIABLES, MOST_VALUES = 16, 12
"""Their numbers have room in the smallest image, in whose form they travel (``networks._bag``)."""
IDENTIFYING = frozenset({"file", "uid", "patient"})
"""Columns by which a hospital's tables say of whom a line is."""
Attribute = Literal["PatientAge", "PatientSex", "PatientSize", "PatientWeight"]
Reading = Literal["known", "missing", "unfit", "contradictory"]
"""unfit: written, and neither a number within the limits nor one of the words. contradictory: written in two ways."""
Limit = Annotated[float, Field(ge=-1e9, le=1e9)]


class Variable(Stated):
    """One variable, such as ``{ name = "age", attribute = "PatientAge", range = [0.0, 100.0] }``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    """What the study calls it: lower-case letters, digits, ``_`` and ``-``."""
    column: Word | None = None
    """The column of the hospital's table; capitals do not count. Left out: the name."""
    attribute: Attribute | None = None
    """The DICOM attribute that says it where no table has the column; an age is read in years."""
    range: Annotated[tuple[Limit, Limit], Field(strict=False)] | None = None
    """Of a number: the least and the largest, which become -1 and 1; a number beyond them is unfit."""
    values: Annotated[tuple[Word, ...], Field(max_length=MOST_VALUES)] = Field(default=(), strict=False)
    """Of a word: those that there are; capitals do not count. Any other is unfit."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        if _plain(self.written_in) in IDENTIFYING:
            raise ValueError(
                f"the variable '{self.name}' has the column '{self.written_in}', which says of whom a line is: "
                "a model that is told that answers of this patient; name another column"
            )
        if (self.range is None) == (not self.values):
            raise ValueError(
                f"the variable '{self.name}' needs either a range, such as range = [0.0, 100.0], or values, such as "
                'values = ["f", "m"]'
            )
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"the variable '{self.name}': the first number of range is the least, the second larger")
        forms = [_plain(value) for value in self.values]
        if len(set(forms)) < len(forms) or len(forms) == 1 or UNSTATED & set(forms):
            raise ValueError(
                f"the variable '{self.name}' needs two values or more, each once, and none that says that nothing is "
                "known: what is missing is told by itself"
            )
        return self

    @property
    def written_in(self) -> str:
        """The column of a table."""
        return self.column or self.name

    @property
    def width(self) -> int:
        """How many numbers the network is given: whether it is known, and the number, or 0 and 1 for each word."""
        return 1 + (len(self.values) or 1)

    @property
    def unknown(self) -> tuple[float, ...]:
        """What the network is given where it is not known: 0 in the place of the 1 that says that it is."""
        return (0.0,) * self.width

    def read(self, written: Sequence[str]) -> tuple[tuple[float, ...], Reading]:
        """Return what the network is given of a patient of whom this is written, and how it was read.

        Of several ages, those at several examinations, the lowest counts; other values that differ contradict.
        """
        stated = [_plain(value) for value in written]
        stated = [value for value in stated if value not in UNSTATED]
        if not stated:
            return self.unknown, "missing"
        found = {self._one(value) for value in stated}
        known = {one for one in found if one is not None}
        if not known:
            return self.unknown, "unfit"
        if self.attribute == "PatientAge" and self.range is not None:
            return (1.0, *min(known)), "known"
        if len(found) > 1:
            return self.unknown, "contradictory"
        return (1.0, *known.pop()), "known"

    def _one(self, value: str) -> tuple[float, ...] | None:
        if self.range is None:
            words = [_plain(word) for word in self.values]
            return tuple(float(word == value) for word in words) if value in words else None
        number = years_of(value) if self.attribute == "PatientAge" else number_of(value)
        low, high = self.range
        if number is None or not low <= number <= high:
            return None
        return (2 * (number - low) / (high - low) - 1,)

    def said(self) -> str:
        """Say what it is, for people who approve a study."""
        where = f"the column '{self.written_in}'" + (f", else DICOM {self.attribute}" if self.attribute else "")
        if self.range is None:
            return f"{self.name} ({where}: {', '.join(self.values)})"
        return f"{self.name} ({where}: {self.range[0]:g} to {self.range[1]:g})"


def _plain(value: str) -> str:
    return one_form(value).strip().casefold()
