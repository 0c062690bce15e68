"""Which series of an examination the study takes, and as what.

The study says it by what scanners write (:class:`wardround_common.study.series.Wanted`). A hospital whose scanners
write otherwise says it in a table of its own, by series or by description. Nothing is guessed: a role that several
series fit is left open, and said.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from wardround_client.volumes.acquisition import Acquisition
from wardround_client.volumes.series import Series
from wardround_common.errors import LabelError
from wardround_common.study.series import Wanted

NONE = ""
"""As a role in a hospital's table: the series is none of those that the study takes."""
_BY_UID, _BY_DESCRIPTION, _ROLE = "uid", "description", "role"


@dataclass(frozen=True)
class Roles:
    """A hospital's own words: which role a series has, whatever the study's patterns say of it."""

    by_uid: Mapping[str, str] = field(default_factory=dict, repr=False)
    by_description: Mapping[str, str] = field(default_factory=dict, repr=False)

    def of(self, series: Series) -> str | None:
        """Return the role that the hospital gives a series, ``NONE``, or None where it says nothing of it."""
        return self.named(series.uid, series.acquisition.description)

    def named(self, uid: str, description: str) -> str | None:
        """Return the role of a series with this UID and description, as :meth:`of`."""
        by_name = {_plain(name): role for name, role in self.by_description.items()}
        return self.by_uid.get(uid, by_name.get(_plain(description)))


@dataclass(frozen=True)
class Choice:
    """The series of one examination by their role in the study."""

    taken: Mapping[str, Series]
    missing: tuple[str, ...]
    """Roles that no series fits."""
    open: Mapping[str, tuple[Series, ...]]
    """Roles that several series fit, or series that fit several roles: none of them is taken."""


def examinations(series: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    """Group series by patient and study: those among which a study's roles are told apart."""
    grouped = defaultdict[tuple[str, str], list[Series]](list)
    for one in series:
        grouped[one.patient, one.study_uid].append(one)
    return dict(grouped)


def choose(series: Iterable[Series], wanted: Sequence[Wanted], roles: Roles | None = None) -> Choice:
    """Tell apart the series of one examination; ``roles`` of the hospital come before what the study wants."""
    named = roles or Roles()
    fitting: dict[str, list[Series]] = {one.role: [] for one in wanted}
    for one in series:
        stated = named.of(one)
        for want in wanted:
            if stated == want.role or (stated is None and fits(one, want)):
                fitting[want.role].append(one)
    shared = _shared(fitting.values())
    unclear = {
        role: tuple(found)
        for role, found in fitting.items()
        if len(found) > 1 or any(one.uid in shared for one in found)
    }
    return Choice(
        taken={role: found[0] for role, found in fitting.items() if found and role not in unclear},
        missing=tuple(role for role, found in fitting.items() if not found),
        open=unclear,
    )


def role_of(uid: str, told: Acquisition, plane: str, wanted: Sequence[Wanted], roles: Roles | None = None) -> list[int]:
    """Return which of what a study wants a series of single images is, told apart as :func:`choose` does: one of them.

    Several where it fits several, none where it fits none. Of a role there may be several series.
    """
    stated = (roles or Roles()).named(uid, told.description)
    return [
        place
        for place, want in enumerate(wanted)
        if stated == want.role or (stated is None and _fits(told, plane, want))
    ]


def _shared(fitting: Iterable[list[Series]]) -> set[str]:
    """Return the series that fit several roles."""
    seen: set[str] = set()
    twice: set[str] = set()
    for found in fitting:
        here = {one.uid for one in found}
        twice |= seen & here
        seen |= here
    return twice


def fits(series: Series, wanted: Wanted) -> bool:
    """Say whether a series is what a study wants."""
    return _fits(series.acquisition, series.geometry.plane, wanted)


def _fits(told: Acquisition, plane: str, wanted: Wanted) -> bool:
    return (
        wanted.modality in (None, told.modality)
        and (not wanted.description or _like(told, wanted.description))
        and not _like(told, wanted.not_description)
        and {word.upper() for word in wanted.image_type} <= {*told.image_type}
        and wanted.contrast in (None, told.contrast)
        and _within(told.inversion_time_ms, wanted.inversion_time_ms)
        and _within(told.echo_time_ms, wanted.echo_time_ms)
        and _within(told.repetition_time_ms, wanted.repetition_time_ms)
        and wanted.plane in (None, plane)
        and {*told.kinds} <= {*wanted.kinds}
    )


def roles_in(path: Path, wanted: Iterable[Wanted]) -> Roles:
    """Read a hospital's table: CSV with the column ``role`` and one of ``uid`` (of the series) and ``description``.

    An empty role says that the series is none of the study's.

    Raises:
        LabelError: the table cannot be read, lacks a column, names a role that the study does not have, or gives one
            series two roles.
    """
    known = {one.role for one in wanted}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            keys = [key for key in (_BY_UID, _BY_DESCRIPTION) if key in (rows.fieldnames or ())]
            if not keys or _ROLE not in (rows.fieldnames or ()):
                raise LabelError(
                    "the table of series needs a column 'role' and one of 'uid' and 'description'", where=path.name
                )
            stated = [(number, row) for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(
            f"the table of series cannot be read ({type(error).__name__})",
            where=path.name,
            do="Check that this user may read it, and save it as 'CSV UTF-8'.",
        ) from None
    found: dict[str, dict[str, str]] = {_BY_UID: {}, _BY_DESCRIPTION: {}}
    for number, row in stated:
        role, where = (row[_ROLE] or "").strip(), f"{path.name} line {number}"
        if role not in known | {NONE}:
            raise LabelError(
                "the study does not have this role", where=where, do=f"Its roles: {', '.join(sorted(known))}."
            )
        key = next((key for key in keys if (row[key] or "").strip()), None)
        if key is None:
            raise LabelError("the line names no series", where=where)
        name = (row[key] or "").strip()
        if found[key].setdefault(name, role) != role:
            raise LabelError("the table gives one series two roles", where=where, do="Keep one line.")
    return Roles(found[_BY_UID], found[_BY_DESCRIPTION])


def _like(told: Acquisition, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(_plain(told.description), _plain(pattern)) for pattern in patterns)


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").replace("-", " ").split())


def _within(value: float | None, limits: tuple[float, float] | None) -> bool:
    return limits is None or (value is not None and limits[0] <= value <= limits[1])
