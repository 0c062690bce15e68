"""``[model.weights]``: a file of weights that were learnt elsewhere, with which the network begins.

The file is pinned by digest and given locally at each hospital; so are the names that it has for the network's tensors.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from wardround_common.section import Section, each_once
from wardround_common.study.start import Digest, ReleaseName

TensorName = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[ -~]+$")]
Beginning = Annotated[str, Field(max_length=300, pattern=r"^[ -~]*$")]


class Weights(Section):
    """``[model.weights]``: the file, and what of the network it gives."""

    LATER = ("rename", "seeded", "unused", "converted")

    name: ReleaseName
    """What it is, for people."""
    file: Digest
    """SHA-256 of the file."""
    tensors: Digest
    """Digest of the tensors that it gives, under the network's names (``weights_digest``)."""
    rename: Annotated[tuple[tuple[Beginning, Beginning], ...], Field(max_length=100, strict=False)] = ()
    """Beginnings of names in the file, and what they are in the network; the first that fits a name counts."""
    seeded: Annotated[tuple[TensorName, ...], Field(max_length=10_000, strict=False)] = ()
    """Tensors of the network that the file does not give, or is not to: what the seed gives."""
    unused: Annotated[tuple[TensorName, ...], Field(max_length=10_000, strict=False)] = ()
    """Tensors of the file that the network does not take."""
    converted: Annotated[int, Field(ge=0)] = 0
    """How many batch normalisations gave their scale and shift to another normalisation, without their statistics."""

    @field_validator("seeded", "unused")
    @classmethod
    def _names_differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(each_once(names)))
