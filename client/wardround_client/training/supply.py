"""A split's images where they are computed with: all of them kept on the card if they fit, else sent batch by batch.

On a card nothing here waits for it: what is sent lies in pinned memory, and the next batch is gathered while the card
works on the one before. Which way a batch comes does not change a byte of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.preparation.examples import Examples
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_common.randomness import Stream

SHARE = 0.25
"""Of the card's free memory that one split may take, so that several hospitals find room there."""
Batch = tuple[torch.Tensor, torch.Tensor]  # images (rows, channels, *space) and targets (rows, …)

_kept: WeakKeyDictionary[Examples, dict[torch.device, Batch]] = WeakKeyDictionary()


def sent(values: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on a device; a card is not waited for."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class Supply:
    """The batches of one split on one device."""

    examples: Examples
    device: torch.device
    whole: Batch | None = field(repr=False)
    """The split on the card, if it is kept there."""

    def batch(self, rows: NDArray[np.int64], views: Stream | None = None) -> Batch:
        """Return the images and targets at these places of the split; of volumes, the patches that ``views`` draws."""
        if self.whole is None:
            return self._sent(*self._gathered(rows, views))
        images, targets = self.whole
        places = sent(rows, self.device)
        return images.index_select(0, places), targets.index_select(0, places)

    def batches(
        self, orders: Iterable[NDArray[np.int64]], views: Callable[[int], Stream | None] = lambda step: None
    ) -> Iterator[Batch]:
        """Yield one batch after the other; to a card that keeps none, the next is gathered meanwhile.

        ``views`` gives the stream of each step from its number, from 0.
        """
        if self.whole is not None or self.device.type != "cuda":
            for step, rows in enumerate(orders):
                yield self.batch(rows, views(step))
            return
        with ThreadPoolExecutor(1) as beside:
            waiting = None
            for step, rows in enumerate(orders):
                following = beside.submit(self._gathered, rows, views(step))
                if waiting is not None:
                    yield self._sent(*waiting.result())
                waiting = following
            if waiting is not None:
                yield self._sent(*waiting.result())

    def _gathered(self, rows: NDArray[np.int64], views: Stream | None) -> Batch:
        found, told = (
            self.examples.drawn(rows, views) if views else (self.examples.images(rows), self.examples.targets[rows])
        )
        images, targets = torch.from_numpy(found), torch.from_numpy(told)
        return (images.pin_memory(), targets.pin_memory()) if self.device.type == "cuda" else (images, targets)

    def _sent(self, images: torch.Tensor, targets: torch.Tensor) -> Batch:
        return images.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)


def supply_of(examples: Examples, device: torch.device) -> Supply:
    """Return where a split's batches come from; a card keeps the split from the first time on, if it has room."""
    if device.type != "cuda":
        return Supply(examples, device, None)
    of = _kept.setdefault(examples, {})
    if device not in of and fits(examples, free_bytes(device)):
        of[device] = _whole(examples, device)
    return Supply(examples, device, of.get(device))


def fits(examples: Examples, free: int) -> bool:
    """Say whether a split takes no more than its share of a card's free memory; of volumes, patches are drawn anew."""
    if isinstance(examples.kept, KeptVolumes):
        return False
    a_row = int(np.prod(examples.kept.shape[1:])) * examples.kept.itemsize
    return len(examples) * a_row + examples.targets.nbytes <= SHARE * free


def free_bytes(device: torch.device) -> int:
    """Return how much memory of a card nobody has taken."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


def _whole(examples: Examples, device: torch.device) -> Batch:
    return sent(examples.images(slice(None)), device), sent(np.array(examples.targets[:]), device)
