"""What only a person can say of a model: for whom it is, who answers for it, under which licence it is given away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from wardround_common.shell.settings_file import read_settings

WORDS = "card.toml"
Said = Annotated[str, Field(min_length=1, max_length=10_000)]
UNSAID = "Nobody has stated this."


class CardWords(BaseModel):
    """``card.toml``: sentences for a model's card, each of which may be left out; the card then says so."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    developer: Said | None = None
    """Who answers for the model."""
    contact: Said | None = None
    licence: Said | None = None
    """Of the weights, best as an SPDX expression."""
    citation: Said | None = None
    funding: Said | None = None
    regulatory_status: Said | None = None
    intended_use: Said | None = None
    users: Said | None = None
    population: Said | None = None
    """For which patients it is meant."""
    out_of_scope: Said | None = None
    limits: Said | None = None
    ethics: Said | None = None
    maintenance: Said | None = None


def read_words(path: Path) -> CardWords:
    """Read a file of words for a model's card.

    Raises:
        StorageError: there is none, it cannot be read, or has a key that no card has.
    """
    return read_settings(
        path,
        CardWords,
        absent="there is no such file",
        do="Leave out --words, or write such a file: 'intended_use = \"…\"' (docs/releases.md lists the keys).",
    )
