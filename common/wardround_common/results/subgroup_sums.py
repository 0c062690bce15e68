"""What hospitals add up of each subgroup of their test patients, and the figures that are read off it.

The sums over the test patients travel with those of the subgroups in one vector, so that they are summed in the same
way and once: sums of the task, then of each subgroup of each ``[evaluation] subgroups`` the number of patients and the
sums of the task, then those over maps (``map_sums``), then the sums of the task by each
hospital's own recalibration, then those with each input withheld (``withheld``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.patients import PatientSums
from wardround_common.results.evaluation import evaluate
from wardround_common.results.map_sums import NOBODY, NUMBERS, MapCell, read_maps
from wardround_common.results.site import Point, SubgroupFigures, Subgrouping
from wardround_common.results.withheld import Without, nothing, numbers, read_withheld
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of

Vector = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One subgroup: how many patients, and the task's sums over them."""

    patients: int
    sums: Sums


@dataclass(frozen=True, slots=True, eq=False)
class BySubgroup:
    """The sums of each subgroup, by the study's subgroups and their cells."""

    cells: tuple[tuple[Cell, ...], ...]

    def __add__(self, other: BySubgroup) -> BySubgroup:
        """Add the sums of other hospitals in the same study."""
        return BySubgroup(
            tuple(
                tuple(
                    Cell(one.patients + more.patients, one.sums + more.sums)
                    for one, more in zip(ours, theirs, strict=True)
                )
                for ours, theirs in zip(self.cells, other.cells, strict=True)
            )
        )

    def to_vector(self) -> Vector:
        """Return the sums as int64: what stands in a message behind those over all test patients."""
        parts = [[np.array([cell.patients]), cell.sums.to_vector()] for cells in self.cells for cell in cells]
        return np.concatenate([np.empty(0, np.int64), *(part for pair in parts for part in pair)])


NO_SUBGROUPS = BySubgroup(())
"""Where the study asks for none, or nothing is known."""


@dataclass(frozen=True, slots=True, eq=False)
class TestSums:
    """What is added up of the test patients: the task's sums over all of them, and those by subgroup."""

    __test__ = False  # no test of pytest's
    whole: Sums
    groups: BySubgroup
    maps: MapCell | None = None
    """Of those with an outlined lesion; None where the study does not ask."""
    recalibrated: Sums | None = None
    """Over all of them by each hospital's own recalibration; None where the study does not ask."""
    withheld: tuple[Without, ...] = ()
    """Over all of them with each input withheld; empty where the study does not ask."""

    @property
    def records(self) -> int:
        """How many records were summed."""
        return self.whole.records

    def __add__(self, other: TestSums) -> TestSums:
        """Add the sums of other hospitals in the same study."""
        maps = self.maps + other.maps if self.maps and other.maps else None
        own = self.recalibrated + other.recalibrated if self.recalibrated and other.recalibrated else None
        withheld = tuple(one + more for one, more in zip(self.withheld, other.withheld, strict=True))
        return TestSums(self.whole + other.whole, self.groups + other.groups, maps, own, withheld)

    def to_vector(self) -> Vector:
        """Return the sums as int64: what travels in a message."""
        maps = [self.maps.to_vector()] if self.maps else []
        own = [self.recalibrated.to_vector()] if self.recalibrated else []
        withheld = [one.to_vector() for one in self.withheld]
        return np.concatenate([self.whole.to_vector(), self.groups.to_vector(), *maps, *own, *withheld])


def length(study: Study) -> int:
    """Return how many numbers a hospital sends about its test patients."""
    one = task_of(study.task).length(study.task)
    by_subgroup = (1 + one) * sum(len(subgroups.cells) for subgroups in study.evaluation.subgroups)
    maps, own = NUMBERS if study.evaluation.maps else 0, one if study.evaluation.recalibrated else 0
    return one + by_subgroup + maps + own + numbers(study)


def nobody(study: Study) -> TestSums:
    """Return the sums over no patient."""
    task = task_of(study.task)
    cells = [tuple(Cell(0, task.empty(study.task)) for _ in one.cells) for one in study.evaluation.subgroups]
    maps, own = study.evaluation.maps, study.evaluation.recalibrated
    return TestSums(
        task.empty(study.task),
        BySubgroup(tuple(cells)),
        NOBODY if maps else None,
        task.empty(study.task) if own else None,
        nothing(study),
    )


def read(vector: Vector | NDArray[np.float64], study: Study) -> TestSums:
    """Read the sums over test patients.

    Raises:
        MessageError: these are no such sums, they contradict one another, or a subgroup, or those with maps, are fewer
            than any that a hospital may send.
    """
    task, section = task_of(study.task), study.task
    if vector.shape != (length(study),):
        raise MessageError(f"the sums over test patients are {length(study)} numbers, not {vector.shape}")
    one = task.length(section)
    whole: Sums = task.read(vector[:one], section)
    at, least = one, study.evaluation.smallest_subgroup
    groups = []
    for subgroups in study.evaluation.subgroups:
        cells = []
        for _ in subgroups.cells:
            patients, sums = float(vector[at]), task.read(vector[at + 1 : at + 1 + one], section)
            if patients % 1 or not 0 <= patients <= sums.records or (sums.records and not patients):
                raise MessageError("the sums contradict one another: a subgroup's patients are not those of its images")
            if 0 < patients < least:
                raise MessageError(f"a subgroup has fewer patients than the {least} that the study states")
            cells.append(Cell(int(patients), sums))
            at += 1 + one
        if sum(cell.sums.records for cell in cells) > whole.records:
            raise MessageError("the sums contradict one another: subgroups count more images than there are")
        groups.append(tuple(cells))
    maps, own = None, None
    if study.evaluation.maps:
        maps = read_maps(vector[at : at + NUMBERS], least, whole.records)
        at += NUMBERS
    if study.evaluation.recalibrated:
        own = task.read(vector[at : at + one], section)
        at += one
        if own.records != whole.records:
            raise MessageError("the sums contradict one another: other images were recalibrated than counted")
    withheld = read_withheld(vector[at:], study, whole.records) if study.evaluation.withheld else ()
    return TestSums(whole, BySubgroup(tuple(groups)), maps, own, withheld)


def judge(
    study: Study,
    groups: Sequence[Sequence[tuple[int, Sums | PatientSums]]],
    point: Point | None,
    *,
    resamples: int = 0,
    seed: int = 0,
) -> tuple[Subgrouping, ...]:
    """Judge a model on each subgroup; ``groups``: patients and sums by the study's subgroups and their cells.

    Intervals are those of :func:`evaluate`. A cell without patients is left out.
    """
    rng, found = np.random.default_rng(seed), []
    for subgroups, cells in zip(study.evaluation.subgroups, groups, strict=True):
        figures = []
        for name, (patients, sums) in zip(subgroups.cells, cells, strict=True):
            if not patients:
                continue
            site = evaluate(study.task, sums, point, resamples=resamples, rng=rng, detail=False)
            figures.append(
                SubgroupFigures(
                    value=name,
                    patients=patients,
                    images=site.images,
                    enough=site.enough,
                    fewest=site.fewest,
                    metrics=site.metrics,
                )
            )
        found.append(
            Subgrouping(
                name=subgroups.name,
                patients=sum(cell.patients for cell in figures),
                smallest=study.evaluation.smallest_subgroup,
                cells=tuple(figures),
            )
        )
    return tuple(found)


def figures_by_subgroup(study: Study, sums: BySubgroup, point: Point | None) -> tuple[Subgrouping, ...]:
    """Judge a model on the subgroups of all hospitals together, from the sums that they sent."""
    if not sums.cells:
        return ()
    return judge(study, [[(cell.patients, cell.sums) for cell in cells] for cells in sums.cells], point)
