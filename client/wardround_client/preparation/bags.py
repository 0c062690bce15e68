"""Records of several images, shown together: all of a patient or of a series, or a slice among others of its series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, cat

from wardround_client.intake.instance import Instance
from wardround_common.errors import DataError
from wardround_common.study.data import NEXT, THROUGH, Data

PADDING = -1.0
"""As the network knows it (``networks._bag``)."""
NONE = -1


@dataclass(frozen=True, eq=False)
class KeptBags:
    """Images of which each record has several, gathered when a record is asked for."""

    images: NDArray[np.float32] = field(repr=False)
    """(kept, channels, rows, columns), usually a memory map."""
    bags: NDArray[np.int64] = field(repr=False)
    """(records, images) where each record's images are, behind them -1."""
    numbers: NDArray[np.float32] | None = field(default=None, repr=False)
    """(records, numbers) what is known of each besides its images, which stands on a page behind them; None: no page.
    """

    def __len__(self) -> int:
        return len(self.bags)

    @property
    def shape(self) -> tuple[int, ...]:
        """(records, channels, images, rows, columns), the page counted as an image."""
        channels, *space = self.images.shape[1:]
        return (len(self.bags), channels, self.bags.shape[1] + (self.numbers is not None), *space)

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.images.itemsize

    def __getitem__(self, rows: Any, /) -> NDArray[np.float32]:
        """Copy the records in these rows: (rows, channels, images, rows, columns), padded."""
        chosen = self.bags[rows]
        found = np.full((len(chosen), *self.shape[1:]), PADDING, np.float32)
        record, place = np.nonzero(chosen != NONE)
        found[record, :, place] = self.images[chosen[record, place]]
        return found if self.numbers is None else with_page(found[:, :, :-1], self.numbers[rows])

    def without_padding(self, record: Tensor, row: int) -> Tensor:
        """Return the record in a row (1, channels, images, rows, columns) without the places that hold no image."""
        several = max(1, int((self.bags[row] != NONE).sum()))  # behind them is the padding
        images = record[:, :, :several]
        return images if self.numbers is None else cat([images, record[:, :, -1:]], dim=2)


def with_page(images: NDArray[np.float32], numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put behind records' images (records, channels, images, rows, columns) a page with their numbers."""
    records, channels, _, *space = images.shape
    page = np.zeros((records, int(channels * np.prod(space))), np.float32)
    page[:, : numbers.shape[1]] = numbers
    return np.concatenate([images, page.reshape(records, channels, 1, *space)], axis=2)


def without(
    kept: KeptBags, data: Data, name: str, rows: NDArray[np.int64] | slice = slice(None)
) -> tuple[KeptBags, NDArray[np.bool_]]:
    """Return records with one of the study's inputs told as missing, and of which it was known, (records,) bool.

    ``rows``: of which records it is told so; usually of all.
    """
    for number, sequence in enumerate(data.sequences):
        if sequence.role == name:
            own = slice(number * data.share, (number + 1) * data.share)
            bags = kept.bags.copy()
            bags[rows, own] = NONE
            return replace(kept, bags=bags), (kept.bags[:, own] != NONE).any(axis=1)
    at = 0
    for one in data.variables:
        if one.name == name and kept.numbers is not None:
            known = kept.numbers[:, at] == 1
            numbers = kept.numbers.copy()
            numbers[rows, at : at + one.width] = one.unknown
            return replace(kept, numbers=numbers), known
        at += one.width
    raise KeyError(name)


def neighbours_of(order: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which images of a series a slice at each place is shown with, and how far from its middle the slice is.

    Args:
        order: (images,) where each image of the series is kept, from one end to the other.

    Returns:
        (images, NEXT and THROUGH), and (images, 1) from 0 in the middle to 1 at the ends.
    """
    count = len(order)
    at = np.arange(count)
    near = np.stack([np.clip(at + step, 0, count - 1) for step in NEXT], axis=1)
    through = (np.arange(THROUGH) * 2 + 1) * count // (2 * THROUGH)
    places = np.hstack([near, np.tile(through, (count, 1))])
    far = np.abs(2 * at - (count - 1)) / max(1, count - 1)
    return np.asarray(order, np.int64)[places], far[:, None].astype(np.float32)


def name_of(instance: Instance, data: Data) -> tuple[str, str]:
    """Return of which record an image is: of its patient's only one, or of its series; without a UID, of its folder."""
    if data.record == "patient":
        return instance.patient, ""
    return series_of(instance)


def series_of(instance: Instance) -> tuple[str, str]:
    """Return of whose series an image is, and of which: by its UID, or else by its folder."""
    return instance.patient, instance.series_uid or str(PurePosixPath(instance.file).parent)


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return which of some images in a row are taken: all, or ``most`` of them at equal distances."""
    if count <= most:
        return np.arange(count)
    places: NDArray[np.int64] = np.floor((np.arange(most) + 0.5) * count / most).astype(np.int64)
    return places


def laid_out(sequences: Sequence[int], data: Data) -> list[tuple[int, int]]:
    """Return which image of a record is in which place: (place, image), from the number of each one's sequence."""
    found = []
    for number in range(len(data.sequences) or 1):
        own = [image for image, sequence in enumerate(sequences) if sequence == number]
        taken = evenly(len(own), data.share).tolist()
        found += [(number * data.share + at, own[image]) for at, image in enumerate(taken)]
    return found


def bags_of(
    files: Sequence[Instance],
    rows: NDArray[np.int64],
    words: dict[str, str],
    data: Data,
    sequences: Sequence[int] | None = None,
    order: Mapping[str, int | str] | None = None,
) -> tuple[NDArray[np.int64], list[list[int]]]:
    """Put the images of each record together: (records, images) of ``rows``, and the places of each one's files.

    Args:
        files: the images, in the order of their names.
        rows: (files,) where each is kept.
        words: what is said of each file.
        data: how many images a record has at most, and of what it is one.
        sequences: (files,) the number of each one's sequence, where the study tells them apart.
        order: by file its place among those of its record (``order.order_of``); None: as the files come.

    Raises:
        DataError: something else is said of an image than of another one of its record.
    """
    together: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, instance in enumerate(files):
        together[name_of(instance, data)].append(place)
    differ = sum(len({words[files[place].file] for place in places}) > 1 for places in together.values())
    if differ:
        what = f"{data.record} has" if differ == 1 else f"{'patients' if data.record == 'patient' else 'series'} have"
        raise DataError(
            f"{differ} {what} images with different labels, and the study has one for each {data.record} "
            f"([data] record = '{data.record}')",
            do="Label by patient: a table with the column 'patient' has one line for each."
            if data.record == "patient"
            else "Label by series: a table with the column 'uid' may name series.",
        )
    if order:
        for places in together.values():
            places.sort(key=lambda place: order[files[place].file])
    bags = np.full((len(together), data.places), NONE, np.int64)
    for record, places in enumerate(together.values()):
        for at, file in laid_out([0 if sequences is None else sequences[place] for place in places], data):
            bags[record, at] = rows[places[file]]
    return bags, list(together.values())
