"""What hospitals add up of the maps of their test images, and the figures that are read off it.

Six whole numbers behind the sums over test patients, in the same message and so in the same secure sum: patients, and
``metrics.maps.MapSums`` over their images in which a lesion is outlined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.maps import MapSums
from wardround_common.metrics.sum_intervals import INDEPENDENT, of_fraction
from wardround_common.results.site import Estimate, MapFigures, MapsOf
from wardround_common.study.file import Study

NUMBERS = 6


@dataclass(frozen=True, slots=True)
class MapCell:
    """Patients with an outlined lesion, and the sums over the maps of their images."""

    patients: int
    sums: MapSums

    def __add__(self, other: MapCell) -> MapCell:
        """Add the sums of other hospitals in the same study."""
        return MapCell(self.patients + other.patients, self.sums + other.sums)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (6,)."""
        return np.array([self.patients, *self.sums.to_vector()], np.int64)


NOBODY = MapCell(0, MapSums())
"""Where the study does not ask, the hospital refuses, or too few patients have an outlined lesion."""


def read_maps(vector: NDArray[np.int64] | NDArray[np.float64], least: int, images: int) -> MapCell:
    """Read the sums over maps; ``images``: those of all test patients.

    Raises:
        MessageError: these are no such sums, they contradict one another, or they are of fewer patients than ``least``.
    """
    patients, sums = float(vector[0]), MapSums.from_vector(vector[1:])
    if patients % 1 or not 0 <= patients <= sums.images or (sums.images and not patients):
        raise MessageError("the sums contradict one another: the patients with maps are not those of their images")
    if sums.images > images:
        raise MessageError("the sums contradict one another: there are more maps than test images")
    if 0 < patients < least:
        raise MessageError(f"sums over maps are of fewer patients than the {least} that the study states")
    return MapCell(int(patients), sums)


def figures_of_maps(study: Study, cell: MapCell, by_hospital: Mapping[str, MapCell] | None = None) -> MapFigures | None:
    """Return the figures of a study that asks for them, of all hospitals and where they are known of each.

    None where no sums left.
    """
    asked = study.evaluation.maps
    if asked is None or not cell.patients:
        return None
    known = {name: _of(one) for name, one in (by_hospital or {}).items() if one.patients}
    return MapFigures(
        method=asked.method, smallest=study.evaluation.smallest_subgroup, everybody=_of(cell), hospitals=known
    )


def _of(cell: MapCell) -> MapsOf:
    found = cell.sums.figures()
    low, high = of_fraction(cell.sums.hits, cell.sums.images)
    return MapsOf(
        patients=cell.patients,
        images=cell.sums.images,
        pointing_game=Estimate(found["pointing_game"], low, high, reason=INDEPENDENT),
        mass_in_lesion=found["mass_in_lesion"],
        random=found["random"],
        untrained=found["untrained"],
    )
