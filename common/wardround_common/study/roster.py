"""The hospitals that may take part in a study, as ``[[roster]]`` lists them in the study file (docs/secagg.md, 2)."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wardround_common.errors import StudyError
from wardround_common.keys.identity import KEY_BYTES, Roster, fingerprint

LONGEST_NAME = 100


def _a_name(value: str) -> str:
    value = unicodedata.normalize("NFC", value)  # an accent typed in two ways is one name with one digest
    if value != value.strip() or not value.isprintable() or not 1 <= len(value) <= LONGEST_NAME:
        raise ValueError(f"a hospital's name is one visible line of at most {LONGEST_NAME} characters")
    return value


def check_name(name: str) -> None:
    """Check that a hospital can be called so.

    Raises:
        StudyError: it cannot.
    """
    try:
        _a_name(name)
    except ValueError as error:
        raise StudyError(f"a hospital cannot be called {name!r}", do=f"Know that {error}.") from None


HospitalName = Annotated[str, AfterValidator(_a_name)]
"""A hospital's name, wherever a document states it."""


class Listed(BaseModel):
    """One hospital of a roster: its name, its public key, and the fingerprint that people compare."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: HospitalName
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The Ed25519 public key, 64 hexadecimal digits."""
    fingerprint: str
    """20 digits in groups of five; it says nothing that the key does not, but people can read it aloud."""

    @classmethod
    def of(cls, name: str, public: bytes) -> Listed:
        """List a hospital by its public key, 32 bytes."""
        return cls(name=name, key=public.hex(), fingerprint=fingerprint(public))

    @property
    def public(self) -> bytes:
        """The public key's 32 bytes."""
        return bytes.fromhex(self.key)

    def toml(self) -> str:
        """Return the entry as written in a study file."""
        name = json.dumps(self.name, ensure_ascii=False)  # TOML's basic strings are written alike
        return f'[[roster]]\nname = {name}\nkey = "{self.key}"\nfingerprint = "{self.fingerprint}"\n'

    @model_validator(mode="after")
    def _fits(self) -> Listed:
        if len(self.public) != KEY_BYTES or self.fingerprint != fingerprint(self.public):
            raise ValueError(f"[[roster]] {self.name}: the fingerprint is not that of the key; ask the hospital again")
        return self


def in_order(listed: Sequence[Listed]) -> tuple[Listed, ...]:
    """Return a roster in its one order, that of the names: in which order hospitals sent their keys means nothing.

    Raises:
        ValueError: two entries have one name or one key; it states each such pair.
    """
    faults = []
    ordered = sorted(listed, key=lambda one: one.name)
    for place, one in enumerate(ordered):
        for other in ordered[:place]:
            if one.name == other.name:
                faults.append(f"[[roster]] {one.name}: this name is listed more than once")
            elif one.key == other.key:
                faults.append(f"[[roster]] {one.name}: this is the key of {other.name}; each hospital makes its own")
    if faults:
        raise ValueError(*dict.fromkeys(faults))
    return tuple(ordered)


def keys_of(listed: Sequence[Listed]) -> Roster:
    """Return the public keys that a roster lists, by name."""
    return Roster({one.name: one.public for one in listed})
