"""Records in the form that a study's network sees, their targets, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.preparation.bags import KeptBags
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.preparation.mapped_masks import MappedMasks
from wardround_client.tasks.contract import Targets
from wardround_client.tasks.outline_measures import Places
from wardround_common.randomness import Stream


@dataclass(frozen=True, eq=False)
class Examples:
    """Images of one split with what is to be told of them, and their patients."""

    kept: NDArray[np.float32] | KeptBags | KeptVolumes = field(repr=False)
    """All prepared images of the hospital (kept, channels, size, size), 0 to 1, usually a memory map; or several of
    them as one record; or volumes."""
    rows: NDArray[np.int64] = field(repr=False)
    """(images,) where ``kept`` holds the images of this split."""
    targets: Targets = field(repr=False)
    """What the network is trained towards: (images,) int64 class numbers, or whatever else the task has for each."""
    patients: NDArray[np.int64] = field(repr=False)
    """(images,) codes that mean nothing outside this data set."""
    places: Places | None = field(default=None, repr=False)
    """(images,) where they lie in their patients; None where that is not known."""

    def images(self, places: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Copy the images at these places of the split, which are of one extent: (places, channels, *space) float32."""
        rows = self.rows[places]
        if isinstance(self.kept, KeptVolumes):
            return np.stack([self.kept.volumes[row].image() for row in rows.tolist()])
        return np.ascontiguousarray(self.kept[rows])

    def drawn(self, places: NDArray[np.int64], stream: Stream) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Copy what is trained on at these places: images, and their targets; of volumes, patches that are drawn.

        What is drawn for a place depends on no other place, and what ``stream`` gives afterwards on nothing drawn.
        """
        if isinstance(self.kept, KeptVolumes):
            return self.kept.drawn(self.rows[places], places, stream)
        return self.images(places), self.targets[places]

    @property
    def once(self) -> NDArray[np.int64]:
        """(records,) a place of each record of the split: a volume of which several patches are drawn has one here."""
        places: NDArray[np.int64] = np.sort(np.unique(self.rows, return_index=True)[1])
        return places

    def lying(self, places: NDArray[np.int64]) -> Places | None:
        """Return where the images at these places of the split lie in their patients; None where that is not known."""
        return self.places and self.places.at(places)

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.rows)

    def places_by_patient(self) -> list[NDArray[np.int64]]:
        """Return each patient's places in the split, patients in the order of their codes."""
        order = np.argsort(self.patients, kind="stable")
        cuts = np.flatnonzero(np.diff(self.patients[order])) + 1
        return np.split(order, cuts) if len(order) else []

    @property
    def patient_count(self) -> int:
        """How many patients these images are of."""
        return len(np.unique(self.patients))


def targets_at(targets: Targets, places: NDArray[np.int64]) -> Targets:
    """Return the targets at these places; what is on the disk stays there."""
    return targets.at(places) if isinstance(targets, MappedMasks) else targets[places]
