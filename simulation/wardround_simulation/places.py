"""Where the simulated hospitals' images are, from what a person typed."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from wardround_client.intake.labels import LABELS_FILE
from wardround_client.preparation.source import Source
from wardround_client.state.state_folder import default_state
from wardround_common.errors import DataError
from wardround_common.one_form import one_form
from wardround_common.results import ALL, EXTERNAL, FEDERATED, POOLED, SHARED, TRAINED
from wardround_simulation.federation import Site

RESERVED = (ALL, FEDERATED, POOLED, SHARED, TRAINED, EXTERNAL)


@dataclass(frozen=True)
class Places:
    """What holds for all hospitals of a run: where labels come from, what is allowed, where state is kept."""

    labels: str | None
    """Name of the label file in a hospital's folder."""
    label_attribute: str | None
    allow: frozenset[str]
    state: Path | None
    confirmed: frozenset[str] = frozenset()
    """The guesses of who is a patient that are confirmed for all hospitals."""

    def source(self, folder: Path) -> Source:
        """Describe one folder."""
        state = self.state / folder.resolve().name if self.state else default_state(folder)
        return Source(
            folder=folder,
            state=state,
            labels=folder / self.labels if self.labels else None,
            label_attribute=self.label_attribute,
            allow=self.allow,
            confirmed=self.confirmed,
        )


def sites_in(folder: Path, places: Places, classes: Collection[str] = ()) -> tuple[Site, ...]:
    """Take each sub-folder as a hospital, by its name in one Unicode form.

    ``classes``: of the study; a folder whose sub-folders are named after them is itself one hospital.

    Raises:
        DataError: there is no such folder, it cannot be read, it has no sub-folder, or it is itself one hospital.
    """
    try:
        entries = [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"the hospitals' folder cannot be read ({error.strerror})", where=str(folder), do="Check --hospitals."
        ) from None
    # A name decides a simulated hospital's keys and randomness: the same folder on a Mac is the same hospital.
    names = sorted((one_form(entry), entry) for entry in entries)
    if not names:
        raise DataError(
            "there is no hospital here: no sub-folder",
            where=str(folder),
            do="Put each hospital's images into a sub-folder of its own, or split this folder with --pool and --split.",
        )
    for (before, _), (name, _) in itertools.pairwise(names):
        if name == before:
            raise DataError(
                f"two hospitals are called {name[:200]!r}, in two Unicode forms",
                where=str(folder),
                do="Rename one of the sub-folders.",
            )
    if len(names) > 1 and {name.casefold() for name, _ in names} <= {word.casefold() for word in classes}:
        raise DataError(
            f"this folder looks like one hospital: its {len(names)} sub-folders are named after the study's classes",
            where=str(folder),
            do="Name the folder that has a sub-folder for each hospital, or split this one with --pool and --split.",
        )
    table = places.labels or LABELS_FILE
    if (
        not places.label_attribute
        and _lies(folder / table)
        and not any(_lies(folder / entry / table) for entry in entries)
    ):
        raise DataError(
            f"this folder looks like one hospital: {table} lies in it, and in none of its {len(names)} sub-folders",
            where=str(folder),
            do="Name the folder that has a sub-folder for each hospital, or split this one with --pool and --split.",
        )
    for name, _ in names:
        check_name(name, where=str(folder), do="Rename its sub-folder: the report needs that word, or cannot print it.")
    return tuple(Site(name, (places.source(folder / entry),)) for name, entry in names)


def _lies(file: Path) -> bool:
    """Return whether there is such a file; what cannot be looked at is read, and refused, where labels are."""
    try:
        return file.is_file()
    except OSError:
        return False


def check_name(name: str, *, where: str, do: str) -> None:
    """Check that a simulated hospital can have this name.

    Raises:
        DataError: the report needs that word, or cannot print it.
    """
    if name in RESERVED or not name or len(name) > 200 or not name.isprintable():
        raise DataError(f"a hospital cannot be called {name[:200]!r}", where=where, do=do)
