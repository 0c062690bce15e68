"""Who takes part in a simulation, from what a person gave: a folder of hospitals, or one folder to be split."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wardround_common.errors import DataError

if TYPE_CHECKING:  # torch takes two seconds to import: an error in what was given comes without it
    from wardround_common.study.file import Study
    from wardround_simulation.federation import Site


@dataclass(frozen=True)
class Pool:
    """One folder of images that is split into hospitals, by patient."""

    folder: Path
    split: int | None = None
    """Number of hospitals; ``by:KEYWORD`` needs none."""
    partition: str = "iid"
    """``iid``, ``dirichlet:ALPHA`` or ``by:KEYWORD`` (``partition.cut``)."""


def pool(folder: Path | str, split: int | None = None, partition: str = "iid") -> Pool:
    """Return hospitals that are cut from one folder of images, by patient, for ``simulate`` and ``sweep``.

    Args:
        folder: images and labels of all hospitals together, as a hospital's own folder has them.
        split: the number of hospitals; ``by:KEYWORD`` needs none.
        partition: ``iid`` deals patients out at random; ``dirichlet:ALPHA`` gives each hospital its own share of each
            class, the smaller ALPHA the more different; ``by:KEYWORD`` makes one hospital of each value of a DICOM
            attribute, such as ``by:ManufacturerModelName``.
    """
    return Pool(Path(folder), split, partition)


Hospitals = Path | str | Pool
"""A folder with one sub-folder for each hospital, or what is split."""


@dataclass(frozen=True)
class Reading:
    """How the hospitals' folders are read: what holds for all of them."""

    labels: str | None = None
    """Name of the label file in a hospital's folder; None for labels.csv, or folders named after classes."""
    label_attribute: str | None = None
    """DICOM keyword of the attribute that holds the label."""
    allow: Collection[str] = ()
    """Findings that do not refuse a file, as ``wardround scan --allow`` names them."""
    confirm_patients: Collection[str] = ()
    """Guesses of who is a patient that hold."""
    state: Path | str | None = None
    """Where indexes and prepared images are kept; None for the user's cache."""


def sites_of(hospitals: Hospitals | None, reading: Reading) -> Callable[[Study], tuple[Site, ...]]:
    """Return what gives the hospitals of a study; a pool is cut by the study's seed.

    Raises:
        DataError: it was not said where the images are.
    """
    if hospitals is None:
        raise DataError(
            "say where the images are: either --hospitals or --pool",
            do="--hospitals DIR has one sub-folder per hospital; --pool DIR is split into --split N hospitals.",
        )

    def sites(study: Study) -> tuple[Site, ...]:
        from wardround_simulation.places import Places, sites_in

        places = Places(
            reading.labels or None,
            reading.label_attribute,
            frozenset(reading.allow),
            None if reading.state is None else Path(reading.state),
            frozenset(reading.confirm_patients),
        )
        if not isinstance(hospitals, Pool):
            return sites_in(Path(hospitals), places)
        from wardround_simulation.partition import cut

        return cut(places.source(hospitals.folder), study, hospitals.partition, hospitals.split)

    return sites
