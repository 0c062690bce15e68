"""Prepared volumes on a hospital's disk, of which a patch or a whole one is read when it is asked for.

A volume is opened for each reading and closed after it: a hospital may have more of them than a process may have open
files, and what was read does not stay in the process's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.preparation.volume_form import VolumeForm
from wardround_client.tasks.patches import Extent, corner_of, cut
from wardround_common.randomness import Stream

Images = NDArray[np.float32]
Masks = NDArray[np.uint8]
IMAGE, MASK, VOXELS = ".f32", ".u8", ".i32"
"""Suffixes of the files of a volume: values, structures, and where some of the voxels of each structure lie."""


@dataclass(frozen=True, eq=False)
class KeptVolume:
    """One prepared volume with its mask."""

    path: Path = field(repr=False)
    """Of its files, without their suffixes."""
    channels: int
    form: VolumeForm

    def image(self) -> Images:
        """Open its values: (channels, slices, rows, columns) float32, 0 to 1, a view of a memory map."""
        slices, *plane = self.form.counts
        stored = np.memmap(self.path.with_suffix(IMAGE), "<f4", "r", shape=(slices, self.channels, *plane))
        return self.form.turned(stored.swapaxes(0, 1))

    def mask(self) -> Masks:
        """Open its mask: (slices, rows, columns) uint8, a view of a memory map."""
        return self.form.turned(np.memmap(self.path.with_suffix(MASK), np.uint8, "r", shape=self.form.counts))

    def structures(self) -> list[NDArray[np.int64]]:
        """Read where voxels of each structure that is there lie: (voxels, 3) each, slice, row and column."""
        found = np.fromfile(self.path.with_suffix(VOXELS), "<i4").reshape(-1, 4)
        return [found[found[:, 0] == number, 1:].astype(np.int64) for number in np.unique(found[:, 0])]

    def patch(self, extent: Extent, stream: Stream, *, around: bool) -> tuple[Images, Masks]:
        """Read a patch that ``stream`` draws, and its mask; ``around`` a structure where there is one."""
        structures = self.structures() if around else []
        corner = corner_of(structures, self.form.shape, extent, stream)
        return cut(self.image(), corner, extent), cut(self.mask(), corner, extent)


@dataclass(frozen=True, eq=False)
class KeptVolumes:
    """The prepared volumes of a hospital, each with an extent of its own, and what the network sees of one."""

    volumes: tuple[KeptVolume, ...] = field(repr=False)
    patch: Extent
    """(slices, rows, columns) of what it is trained on."""
    each: int
    """How many patches a pass draws of each volume: that many places of a split in a row."""

    def __len__(self) -> int:
        return len(self.volumes)

    def drawn(self, rows: NDArray[np.int64], places: NDArray[np.int64], stream: Stream) -> tuple[Images, Masks]:
        """Draw a patch of the volume in each row: (rows, channels, *patch) float32, and masks (rows, *patch) uint8.

        ``places`` number the patches of a pass. Of each volume every other one lies around a structure, and where their
        number is odd the last one by chance. The law by which a patch is drawn depends on its volume and its number
        among that volume's patches alone: were it numbered over all of them, a patient more or less would change what
        every later patient brings, and no clipping bounds that.
        """
        found = [
            self.volumes[row].patch(self.patch, stream.child("patch", place), around=self._is_around(place, stream))
            for row, place in zip(rows.tolist(), places.tolist(), strict=True)
        ]
        return np.stack([image for image, _ in found]), np.stack([mask for _, mask in found])

    def _is_around(self, place: int, stream: Stream) -> bool:
        number = place % self.each
        if self.each % 2 and number == self.each - 1:
            return stream.child("around", place).below(2) == 0
        return number % 2 == 0

    @property
    def masks(self) -> Sequence[Masks]:
        """Their masks, each opened when it is asked for."""
        return _Masks(self.volumes)


class _Masks(Sequence[Masks]):
    def __init__(self, volumes: tuple[KeptVolume, ...]) -> None:
        self._volumes = volumes

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, row):  # type: ignore[no-untyped-def]  # one volume at a time
        return self._volumes[row].mask()
