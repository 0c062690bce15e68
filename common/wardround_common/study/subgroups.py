"""``[evaluation] subgroups``: by what the test patients are told apart, and the rule that makes written values one.

Hospitals write one value in several ways (``M``, ``male``; ``GE MEDICAL SYSTEMS``, ``GE Healthcare``). The rule is
small, so that everybody can know what it does: a value that it does not recognise is "other"; what is not stated, and
an age, number or sex that is none, is "unknown".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wardround_common.one_form import one_form
from wardround_common.section import Stated, Word

OTHER, UNKNOWN = "other", "unknown"
OLDEST = 130
"""Years; a larger age is a mistake, and unknown."""
MOST_VALUES = 12
_SEXES = {
    "female": frozenset({"f", "female", "w", "woman"}),
    "male": frozenset({"m", "male", "man"}),
    OTHER: frozenset({"o", "other", "d", "x"}),
}
UNSTATED = frozenset({"", "unknown", "u", "n/a", "na", "none", "null", "-", "?"})
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:[.,]\d{1,9})?")
_AGE = re.compile(r"(\d{1,3})([DWMY])", re.IGNORECASE)
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


class Subgroups(Stated):
    """One way to tell the test patients apart, such as ``{ by = "age", bands = [40, 60] }``."""

    by: Literal["age", "sex", "manufacturer", "model", "column"]
    """What tells them apart; ``column`` is one of the hospital's own table of labels."""
    bands: Annotated[tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...], Field(max_length=MOST_VALUES - 1)] = Field(
        default=(), strict=False
    )
    """Of an age in years, or a column of numbers: where one band ends and the next begins."""
    values: Annotated[tuple[Word, ...], Field(max_length=MOST_VALUES)] = Field(default=(), strict=False)
    """Of a scanner's manufacturer or model, or a column of words: which are told apart."""
    column: Word | None = None
    """The name of the column; capitals do not count."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        kind = f"[evaluation] subgroups, by = '{self.by}'"
        needs = {"age": "bands", "manufacturer": "values", "model": "values", "column": "column"}.get(self.by, "")
        if needs and not getattr(self, needs):
            raise ValueError(f"{kind}: this needs {needs}, such as {_EXAMPLES[needs]}")
        unused = {
            "bands": bool(self.bands) and self.by not in ("age", "column"),
            "values": bool(self.values) and self.by in ("age", "sex"),
            "column": self.column is not None and self.by != "column",
        }
        if wrong := [key for key, there in unused.items() if there]:
            raise ValueError(f"{kind}: this does not use {' and '.join(wrong)}; remove it")
        if self.by == "column" and bool(self.bands) == bool(self.values):
            raise ValueError(f"{kind}: a column needs either bands, for numbers, or values, for words")
        if list(self.bands) != sorted(set(self.bands)):
            raise ValueError(f"{kind}: bands rise, each once, such as {_EXAMPLES['bands']}")
        forms = [_words(value) for value in self.values]
        if len(set(forms)) < len(forms) or () in forms or {(OTHER,), (UNKNOWN,)} & set(forms):
            raise ValueError(
                f"{kind}: values differ in their letters or digits, each once; '{OTHER}' and '{UNKNOWN}' are always "
                "there and are not listed"
            )
        return self

    @property
    def name(self) -> str:
        """What a report calls it: 'age', or the column."""
        return self.column or self.by

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """The subgroups, in their order; the last two are "other" and "unknown"."""
        return (*self._named(), OTHER, UNKNOWN)

    def _named(self) -> tuple[str, ...]:
        if self.by == "sex":
            return ("female", "male")
        if not self.bands:
            return self.values
        edges = [f"{edge:g}" for edge in self.bands]
        inner = [f"{low} to below {high}" for low, high in itertools.pairwise(edges)]
        return (f"below {edges[0]}", *inner, f"{edges[-1]} and above")

    def cell_of(self, written: Sequence[str]) -> int:
        """Return the place in ``cells`` of a patient of whom this is written; of ages the lowest counts.

        Other things that contradict one another are "other".
        """
        stated = [one_form(value).strip() for value in written]
        stated = [value for value in stated if value.casefold() not in UNSTATED]
        unknown = len(self.cells) - 1
        if not stated:
            return unknown
        if self.bands:
            read = years_of if self.by == "age" else number_of
            numbers = [number for number in map(read, stated) if number is not None]
            if not numbers:
                return unknown
            if self.by == "age":
                numbers = [min(numbers)]
            found = {sum(number >= edge for edge in self.bands) for number in numbers}
        else:
            found = {self._place(value) for value in stated}
        return found.pop() if len(found) == 1 else unknown - 1

    def _place(self, value: str) -> int:
        if self.by == "sex":
            word = value.casefold()
            return next((place for place, sex in enumerate(self.cells[:-1]) if word in _SEXES[sex]), len(_SEXES))
        words = _words(value)
        fits = [(len(_words(one)), place) for place, one in enumerate(self.values) if self._means(_words(one), words)]
        return max(fits)[1] if fits else len(self.values)

    def _means(self, named: tuple[str, ...], written: tuple[str, ...]) -> bool:
        """Tell whether a written value is a named one: of a scanner its words are among those written, in a row."""
        if self.by == "column":
            return named == written
        starts = range(len(written) - len(named) + 1)
        return any(written[start : start + len(named)] == named for start in starts)


_EXAMPLES = {"bands": "[40, 60]", "values": '["GE", "Philips", "Siemens"]', "column": '"density"'}


def _words(value: str) -> tuple[str, ...]:
    """Return the letters and digits of a value as words, without regard to capitals and signs."""
    return tuple(re.findall(r"[^\W_]+", one_form(value).casefold()))


def number_of(value: str) -> float | None:
    """Read a number, with a point or a comma; None of what is none."""
    return float(value.replace(",", ".")) if _NUMBER.fullmatch(value) else None


def years_of(value: str) -> float | None:
    """Read an age as DICOM writes it (``045Y``, ``018M``), or a number of years; None of what is no age."""
    if said := _AGE.fullmatch(value):
        years: float | None = int(said[1]) * _YEARS[said[2].upper()]
    else:
        years = number_of(value)
    return years if years is not None and 0 <= years <= OLDEST else None
