"""The names of the methods of explanation, read from their files: to know a name needs neither torch nor captum."""

from __future__ import annotations

from pathlib import Path

from wardround_client.maps import methods
from wardround_common.installed import name_of


def known_methods() -> tuple[str, ...]:
    """Return the names of all methods, in order."""
    return tuple(sorted(name_of(path.stem) for place in methods.__path__ for path in Path(place).glob("[a-z]*.py")))
