"""Which names the shell is offered at the tabulator: those that it reads as they stand.

Bash puts what is offered into the line as it is. A hospital chooses its name itself: one with ``$(…)`` would be a
command there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"\w[\w .@+-]*")


def offered(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin so, sorted; one with a character that means something to a shell is typed by hand."""
    return sorted({name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name)})
