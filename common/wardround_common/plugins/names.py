"""The names by which a study means a part of a plug-in, ``PACKAGE:PART``, and where packages declare their parts.

No built-in has a colon in its name, so that no plug-in can stand in the place of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 64
PACKAGE = r"[a-z0-9]+(-[a-z0-9]+)*"
"""A package's name in its one form (PEP 503): small letters and digits, with hyphens between them."""
PART = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
VERSION = r"[0-9A-Za-z][0-9A-Za-z.+!_-]{0,63}"
_NAME = re.compile(f"({PACKAGE}):({PART})")
RESERVED = ("own", "bundle")
"""What stands before the colon of names that mean something else."""

GROUPS = {
    "network": "wardround.networks",
    "strategy": "wardround.strategies",
    "task": "wardround.tasks",
    "local task": "wardround.tasks.local",
    "sink": "wardround.sinks",
    "step": "wardround.preparation",
    "format": "wardround.formats",
}
"""The group of entry points of each kind of part."""


@dataclass(frozen=True)
class Named:
    """A plug-in as a study names it: the package, its version, and the digest of its installed files."""

    package: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package} {self.version} ({self.sha256[:12]}…)"


def is_plugin(name: str) -> bool:
    """Tell whether a name means a part of a plug-in."""
    found = _NAME.fullmatch(name)
    return found is not None and len(name) <= LONGEST and found[1] not in RESERVED


def package_of(name: str) -> str:
    """Return the package of a part."""
    return name.partition(":")[0]


def part_of(name: str) -> str:
    """Return what a part is called in its package."""
    return name.partition(":")[2]
