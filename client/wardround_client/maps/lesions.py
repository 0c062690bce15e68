"""Where a hospital's own masks outline a lesion in the images that are explained, and how much of a map lies there.

Masks meet images by geometry, as for training (``masks.find``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from wardround_client.masks import Mask, Structures, find, named
from wardround_client.masks.structures import LEFT_OUT
from wardround_client.volumes import survey
from wardround_common.errors import ImageRefused
from wardround_common.metrics.maps import InLesion
from wardround_common.study.steps import Area

Heat = NDArray[np.float32]
Lesion = NDArray[np.bool_]
_LESION = "lesion"


@dataclass(frozen=True, eq=False)
class Lesions:
    """What is outlined in the images of some folders."""

    places: Mapping[Path, tuple[Mask, int]] = field(default_factory=dict, repr=False)
    """By the image's file, without links: the mask of its series, and which slice of it the image is."""
    unmet: Mapping[str, int] = field(default_factory=dict)
    """Masks that outline nothing here, counted by reason."""

    def of(self, file: Path) -> Lesion | None:
        """Return what is outlined in an image, (rows, columns); None where nobody looked, or nothing is.

        The mask may have become unreadable in the meantime: then nobody looked.
        """
        if file not in self.places:
            return None
        mask, number = self.places[file]
        if not mask.annotated[number]:
            return None
        try:
            there: Lesion = mask.slice(number) > 0
        except ImageRefused:
            return None
        return there if there.any() else None


def lesions_in(folders: Sequence[Path], words: Sequence[str] = ()) -> Lesions:
    """Find the masks of hospitals' folders and lay them on the single images there.

    ``words``: the structures that are lesions, as the masks call them, with ``*`` for any characters; without one, all.

    Raises:
        LabelError: a table names a mask twice, or one that is not there.
    """
    meant = dict.fromkeys(words, _LESION) | {"*": LEFT_OUT} if words else {"*": _LESION}
    structures = Structures((_LESION,), meant)
    places: dict[Path, tuple[Mask, int]] = {}
    unmet: dict[str, int] = {}
    for folder in folders:
        beside = named(folder)
        aside = {one.mask for one in beside}
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in aside]
        seen = survey(files)
        found = find(seen.series, seen.outlines, structures, beside=beside)
        for one in found.unmet:
            unmet[one.reason] = unmet.get(one.reason, 0) + 1
        for series in seen.series:
            mask = found.masks.get(series.uid)
            if mask is not None and series.stored == "single-frame":
                places |= {each.file.resolve(): (mask, number) for number, each in enumerate(series.slices)}
    return Lesions(places, unmet)


def measure(heat: Heat, untrained: Heat, lesion: Lesion, area: Area) -> InLesion:
    """Say how much of a map (rows, columns) lies in a lesion (rows, columns) on the same grid.

    ``area``: the part that the network sees, beyond which no map has anything, a random one neither.
    """
    place = peak(heat)
    return InLesion(
        hit=place is not None and bool(lesion[place]),
        mass=_mass(heat, lesion),
        area=float(area.of(lesion).mean()),
        untrained=_mass(untrained, lesion),
    )


def peak(heat: Heat) -> tuple[int, int] | None:
    """Return the place that speaks most for the class; the middle of several together, None where nothing does."""
    most = float(heat.max())
    if most <= 0:
        return None
    labels, _ = scipy.ndimage.label(heat >= most * (1 - 1e-5))
    rows, columns = np.nonzero(labels == 1)
    return round(float(rows.mean())), round(float(columns.mean()))


def _mass(heat: Heat, lesion: Lesion) -> float:
    speaks = np.maximum(heat, 0).astype(np.float64)
    whole = speaks.sum()
    return float(speaks[lesion].sum() / whole) if whole > 0 else 0.0
