"""The ``[[roster]]`` entries of hospitals that are enrolled, as a study file has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wardround_common.errors import MessageError
from wardround_common.study.roster import Listed


def roster_entries(enrolled: Mapping[str, bytes], names: Sequence[str]) -> str:
    """Write the entries of these hospitals, from the public keys of those that are enrolled.

    Raises:
        MessageError: one is not enrolled.
    """
    for name in names:
        if name not in enrolled:
            known = ", ".join(sorted(enrolled)) or "nobody"
            raise MessageError(f"no hospital is enrolled as {name!r}", do=f"Enrolled: {known}.")
    return "\n".join(Listed.of(name, enrolled[name]).toml() for name in names)
