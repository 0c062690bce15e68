"""``[[data.series]]``: the series that a study takes of each patient, by what scanners write about them.

Hospitals name one series in many ways, and a name alone can be wrong; so a study states what it knows of a series, and
each hospital may state, in a table of its own, which of its series are meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wardround_common.section import Stated

Pattern = Annotated[str, Field(min_length=1, max_length=100)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=100, strict=False)]
Milliseconds = Annotated[float, Field(ge=0)]
Range = Annotated[tuple[Milliseconds, Milliseconds], Field(strict=False)]


class Wanted(Stated):
    """A series that a study takes; of what is left out, anything will do."""

    role: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    """What the study calls it: lower-case letters, digits, ``_`` and ``-``, such as ``flair``."""
    modality: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,15}$")] | None = None
    """DICOM Modality, such as MR."""
    description: Patterns = ()
    """Patterns of SeriesDescription, of which one fits: ``*`` is any text, capitals do not count, ``_`` is a space."""
    not_description: Patterns = ()
    """Patterns of SeriesDescription, of which none fits."""
    image_type: Patterns = ()
    """Words that ImageType holds, each of them."""
    contrast: bool | None = None
    """Whether a contrast agent was given, as ContrastBolusAgent, its sequence or the description says."""
    inversion_time_ms: Range | None = None
    """The least and the largest InversionTime; a series that states none does not fit."""
    echo_time_ms: Range | None = None
    """The least and the largest EchoTime."""
    repetition_time_ms: Range | None = None
    """The least and the largest RepetitionTime."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """The plane that the slices are nearest to."""
    kinds: Patterns = ()
    """What is left out unless it is named here: ``localizers``, ``derived``, ``screens``, ``captures``, …"""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for key in ("inversion_time_ms", "echo_time_ms", "repetition_time_ms"):
            limits = getattr(self, key)
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"{key}: the first number is the least, the second the largest")
        return self
