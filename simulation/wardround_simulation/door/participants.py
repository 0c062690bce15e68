"""Who takes part in a simulation, from what a person gave: a folder of hospitals, or one folder to be split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_common.arguments import checked
from wardround_common.errors import DataError
from wardround_common.one_form import one_form

if TYPE_CHECKING:  # torch takes two seconds to import: an error in what was given comes without it
    from wardround_client.preparation.source import Source
    from wardround_common.study.file import Study
    from wardround_simulation.federation import Site


ARRAYS = "arrays"
"""Below a folder for state, or that of a run: where hospitals' arrays are kept."""


@dataclass(frozen=True)
class Pool:
    """One folder of images, or arrays, that is split into hospitals, by patient."""

    images: Path | Any = field(repr=False)
    """A folder, or arrays as those of a hospital."""
    split: int | None = None
    """Number of hospitals; ``by:KEYWORD`` needs none."""
    partition: str = "iid"
    """``iid``, ``dirichlet:ALPHA`` or ``by:KEYWORD`` (``partition.cut``)."""


@checked
def pool(images: Path | str | Any, split: int | None = None, partition: str = "iid") -> Pool:
    """Return hospitals that are cut from one folder of images, by patient, for ``simulate`` and ``sweep``.

    Args:
        images: a folder with images and labels of all hospitals together, as a hospital's own has them; or arrays, or
            a dataset, as :func:`simulate` takes them for a hospital.
        split: the number of hospitals; ``by:KEYWORD`` needs none.
        partition: ``iid`` deals patients out at random; ``dirichlet:ALPHA`` gives each hospital its own share of each
            class, the smaller ALPHA the more different; ``by:KEYWORD`` makes one hospital of each value of a DICOM
            attribute, such as ``by:ManufacturerModelName``.
    """
    return Pool(Path(images) if isinstance(images, str) else images, split, partition)


Hospitals = Path | str | Pool | Mapping[str, Any]
"""A folder with a sub-folder for each hospital, what is split, or by name each hospital's arrays, dataset or folder."""


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


def sites_of(hospitals: Hospitals | None, reading: Reading, folder: Path) -> Callable[[Study], tuple[Site, ...]]:
    """Return what gives the hospitals of a study; a pool is cut by the study's seed.

    ``folder``: of the run, below which arrays are kept if there is no folder for state.

    Raises:
        DataError: it was not said where the images are; or a word that says how they are read or cut is unknown, which
            is found before any of them is read.
    """
    if hospitals is None:
        raise DataError(
            "say where the images are: either --hospitals or --pool",
            do="--hospitals DIR has one sub-folder per hospital; --pool DIR is split into --split N hospitals.",
        )

    from wardround_client.hospital.hospital_source import check_switches
    from wardround_simulation.partition import check_partition

    check_switches(reading.allow, reading.label_attribute, reading.confirm_patients)
    if isinstance(hospitals, Pool):
        pool(hospitals.images, hospitals.split, hospitals.partition)  # one that was made by its class is checked too
        check_partition(hospitals.partition, hospitals.split)

    def sites(study: Study) -> tuple[Site, ...]:
        from wardround_simulation.federation import Site
        from wardround_simulation.places import Places, sites_in

        places = Places(
            reading.labels or None,
            reading.label_attribute,
            frozenset(reading.allow),
            None if reading.state is None else Path(reading.state),
            frozenset(reading.confirm_patients),
        )

        def source_of(data: Any, name: str) -> Source:
            return places.source(_folder(data)) if isinstance(data, Path | str) else _kept(data, study, name, kept)

        kept = (folder if reading.state is None else Path(reading.state)) / ARRAYS
        if isinstance(hospitals, Mapping):
            named = sorted(_named(hospitals).items())
            return tuple(Site(name, (source_of(data, name),)) for name, data in named)
        if not isinstance(hospitals, Pool):
            return sites_in(Path(hospitals), places, study.groups)
        from wardround_simulation.partition import cut

        return cut(source_of(hospitals.images, "the pool"), study, hospitals.partition, hospitals.split)

    return sites


@checked
def _folder(images: Path | str) -> Path:
    return Path(images)


def _kept(data: Any, study: Study, name: str, folder: Path) -> Source:
    from wardround_client.preparation.tensors import keep
    from wardround_simulation.door.arrays import read_arrays

    read = read_arrays(data, study, f"hospital {name}" if name != "the pool" else name)
    return keep(folder, read.images, read.targets, read.patients)


def _named(hospitals: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hospitals by their names in one Unicode form, as sub-folders are named.

    Raises:
        DataError: there is none, or one cannot be called so.
    """
    from wardround_simulation.places import check_name

    if not hospitals:
        raise DataError("there is no hospital: the mapping is empty", do="Give each hospital's arrays under its name.")
    found: dict[str, Any] = {}
    for name, data in hospitals.items():
        word = one_form(str(name))
        check_name(word, where="hospitals", do="Give it another name.")
        if word in found:
            raise DataError(f"two hospitals are called {word[:200]!r}", where="hospitals", do="Rename one.")
        found[word] = data
    return found
