"""The word that somebody meant who typed one that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100
"""Characters of what was typed that are compared."""


def nearest(typed: object, known: Iterable[str]) -> str:
    """Return the known word that is most like what was typed, upper case, ``-`` and ``_`` aside; empty if none is."""
    words = list(known)
    alike = difflib.get_close_matches(
        str(typed)[:LONGEST].lower().replace("_", "-"), [word.replace("_", "-") for word in words], n=1
    )
    return next((word for word in words if alike and word.replace("_", "-") == alike[0]), "")
