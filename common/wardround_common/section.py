"""What every section of a study file has in common, and the kinds of value that its keys take."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from wardround_common.one_form import one_form


def _positive_zero(value: float) -> float:
    return value + 0.0  # -0.0 means the same as 0.0 and must not have another digest


def _word(value: str) -> str:
    """Return a label word in its composed form (NFC): an accent typed in two ways is one word with one digest."""
    word = one_form(value)
    if not word or word != word.strip() or not word.isprintable():
        raise ValueError("a class is a visible word with no space at either end, such as 'finding'")
    return word


Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1000)]
"""A step's size, or a weight within a loss: a few larger steps leave the numbers that networks compute in."""
NotNegative = Annotated[float, Field(ge=0), AfterValidator(_positive_zero)]
Decay = Annotated[float, Field(ge=0, lt=1), AfterValidator(_positive_zero)]
Word = Annotated[str, AfterValidator(_word)]


class Section(BaseModel):
    """One table of the study file: frozen, with no key besides those that it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    LATER: ClassVar[tuple[str, ...]] = ()
    """Keys that came after studies had digests: left out of the canonical form at their defaults."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in written.items()
            if key not in self.LATER or getattr(self, key) != fields[key].default
        }


class Stated(Section):
    """A table within a section, of which only what is stated is written, so that a later key changes no digest."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        return {key: value for key, value in written.items() if getattr(self, key) != fields[key].default}


def each_once(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words; refuse them if one is listed more than once.

    Raises:
        ValueError: one is.
    """
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise ValueError(f"{', '.join(map(repr, twice))} is listed more than once; list each once")
    return words
