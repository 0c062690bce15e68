"""The identity with which each admitted hospital was enrolled, which tells two of one name apart.

The link itself knows names and node keys. A hospital that was revoked and enrolled again under its name, between two
looks at the folder or while no coordinator served, is another hospital, whose state folder holds nothing of what the
first was asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardround_common.errors import StorageError
from wardround_common.storage import write_atomically
from wardround_common.study.roster import Listed
from wardround_server.state.coordinator_folder import Survey


@dataclass(eq=False)
class Acquainted:
    """The identities, in a file next to the link's database."""

    path: Path
    _identity_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what was kept; without it everybody is taken for who is enrolled now."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            kept = json.loads(self.path.read_bytes())
            self._identity_of = {str(name): str(identity) for name, identity in kept.items()}

    def public(self, name: str) -> bytes | None:
        """Return the public identity key of a hospital; None if it is not known."""
        with suppress(KeyError, ValueError):
            return bytes.fromhex(self._identity_of[name])
        return None

    def others(self, roster: Sequence[Listed]) -> frozenset[str]:
        """Name those of a study's roster under whose name another hospital is admitted than the study lists."""
        return frozenset(one.name for one in roster if self.public(one.name) not in (None, one.public))

    def same(self, name: str, survey: Survey) -> bool:
        """Say whether the hospital of this name is enrolled, and is the one that it was."""
        enrolled = {one.name: one.request.identity for one in survey.enrolled}
        return name in enrolled and self._identity_of.get(name, enrolled[name]) == enrolled[name]

    def keep(self, survey: Survey, let_in: set[str]) -> None:
        """Remember who is enrolled now, and of others only those who are admitted anyway."""
        now = {name: identity for name, identity in self._identity_of.items() if name in let_in}
        now |= {one.name: one.request.identity for one in survey.enrolled}
        if now != self._identity_of:
            self._identity_of = now
            with suppress(StorageError):  # a full disk ends no service for this; it is kept in memory
                write_atomically(self.path, json.dumps(now).encode())
