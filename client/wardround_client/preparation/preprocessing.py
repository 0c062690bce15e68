"""From an image in any size and scale to the form that a study's network sees."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.images import Image
from wardround_client.images.hanging import Hanging, Turn
from wardround_client.preparation.stepped import area_of, stepped
from wardround_common.errors import ImageRefused
from wardround_common.study.data import Data
from wardround_common.study.steps import Area

Name = TypeVar("Name", bound=Hashable)
T = TypeVar("T", torch.Tensor, NDArray[Any])
Number = float | np.floating[Any]
PERCENTILES = (0.5, 99.5)
ALMOST_SQUARE = 1.01
"""The longer side of a pixel by the shorter one, up to which it is a square: headers round."""
VERSION = 1  # prepared images of another version are made again


def to_network_form(image: Image, data: Data) -> NDArray[np.float32]:
    """Return an image as the study's network sees it, (channels, image_size, image_size): :func:`located`."""
    return located(image, data)[0]


def located(image: Image, data: Data, area: Area | None = None) -> tuple[NDArray[np.float32], Area]:
    """Match the channels, take the study's steps, scale to 0..1, hang, resize to square pixels, and pad with zeros.

    Returns (channels, image_size, image_size) float32, and which part of the image that is: all of it but where a step
    cuts, and there ``area`` where that was found over several images (:func:`cut_alike`). An image of one value becomes
    zeros.

    Raises:
        ImageRefused: the image is a volume or a series of frames, where the study's networks see single images.
    """
    if image.pixels.ndim != 3:
        raise ImageRefused(
            "volume",
            "the study's network sees single images, and this file holds several",
            do="Export its slices or frames as single images.",
        )
    pixels = match_channels(image.pixels, data.channels)
    area = area or area_of(pixels.max(axis=0), data.steps)
    pixels = stepped(area.of(pixels), data.steps)
    if data.intensity == "percentile":
        low, high = np.percentile(pixels, PERCENTILES)
    elif data.intensity == "range":
        low, high = pixels.min(), pixels.max()
    else:
        low, high = 0.0, 1.0  # the image's own window has been applied, or a step has scaled
    return fit(_scaled(pixels, low, high), data.square, image.hanging), area


def cut_alike(images: Iterable[tuple[Name, Hashable, Image]], data: Data) -> dict[Name, Area]:
    """Return which part is left of each image: one for all of one series, size and way round.

    Args:
        images: the name of each image, what its series is called, and the image; each is let go before the next.
        data: the study's, of which a step cuts images.
    """
    highest: dict[Hashable, NDArray[np.float32]] = {}
    of: dict[Name, Hashable] = {}
    for name, series, image in images:
        if image.pixels.ndim == 3:  # a volume is refused when it is prepared
            seen = match_channels(image.pixels, data.channels).max(axis=0)  # (height, width)
            of[name] = key = (series, seen.shape, image.turn)
            highest[key] = np.maximum(highest[key], seen) if key in highest else seen
    areas = {key: area_of(values, data.steps) for key, values in highest.items()}
    return {name: areas[key] for name, key in of.items()}


def levels_to_network_form(
    stored: NDArray[np.integer],
    values_of: Callable[[NDArray[np.integer]], NDArray[np.float32]],
    data: Data,
    hanging: Hanging,
) -> NDArray[np.float32] | None:
    """Bring an image of few grey levels into the same form, in a third of the time and with the same bytes.

    What is done to a value is done once to each level between the smallest and the largest. ``stored`` is (height,
    width); ``values_of`` maps (levels,) to what they mean and never falls, or never rises; ``hanging`` is the
    image's. None if the levels are too many to be worth it, the study has steps, or its network has other than one
    channel.
    """
    smallest, largest = int(stored.min()), int(stored.max())
    if data.channels != 1 or data.steps or largest - smallest >= stored.size:
        return None
    low: Number
    high: Number
    above = stored - stored.dtype.type(smallest)  # wraps round where it must, and is right modulo the type's range
    places = above.view(above.dtype.str.replace("i", "u")).astype(np.intp)  # (height, width) indices into the levels
    values = values_of(np.arange(smallest, largest + 1).astype(stored.dtype))  # (levels,)
    if data.intensity == "percentile":
        low, high = _percentiles(values, np.bincount(places.ravel(), minlength=len(values)))
    elif data.intensity == "range":
        low, high = values.min(), values.max()
    else:
        low, high = 0.0, 1.0
    scaled = _scaled(values, low, high).take(places)  # (height, width)
    return fit(scaled[None], data.square, hanging)


def _scaled(pixels: NDArray[np.float32], low: Number, high: Number) -> NDArray[np.float32]:
    scaled = np.clip((pixels - low) / (high - low), 0, 1) if high > low else np.zeros_like(pixels)
    return np.ascontiguousarray(scaled, np.float32)


def _percentiles(values: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[np.float64, np.float64]:
    """Return what ``np.percentile`` gives for values that each occur this many times, bit for bit."""
    if values[0] > values[-1]:
        values, counts = values[::-1], counts[::-1]
    up_to = np.cumsum(counts)
    found = []
    for part in np.array(PERCENTILES) / 100:
        place = (up_to[-1] - 1) * part
        before = int(place)
        first, second = values[np.searchsorted(up_to, [before, before + 1], side="right").clip(max=len(values) - 1)]
        weight, step = np.float64(place - before), second - first
        found.append(np.float64(second - step * (1 - weight) if weight >= 0.5 else first + step * weight))
    return found[0], found[1]


def match_channels(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Return an image (channels, height, width) with as many channels as a study has: grey is repeated, or is luma."""
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels[:1], 3, axis=0)
    luma = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    return np.tensordot(luma, pixels[:3], axes=1)[None]


def aspect_of(sides: tuple[float, float]) -> float:
    """Return how high a pixel is for its width, by both; 1 where it is a square.

    Sides that differ by less than a hundredth are one length, written twice.
    """
    high, wide = sides
    return high / wide if max(high, wide) > ALMOST_SQUARE * min(high, wide) else 1.0


@dataclass(frozen=True)
class Place:
    """Where an image lies in the square that a network sees, in pixels of that square, which are square themselves."""

    rows: int
    columns: int
    top: int
    left: int
    turn: Turn
    """What is done to the stored image before it is laid there."""

    @classmethod
    def of(cls, height: int, width: int, size: int, hanging: Hanging) -> Place:
        """Return the place of an image: as large as fits, in the middle, and as wide for its height as in the patient.

        Args:
            height: in pixels of the stored image, as ``width`` is.
            width: how many columns it has.
            size: the side of the square.
            hanging: which way round the image hangs there; unknown distances are taken for equal.
        """
        hung = hanging.turn.shape(height, width)
        high, wide = hung[0] * aspect_of(hanging.hung_sides), hung[1]  # in widths of a pixel
        ratio = size / max(high, wide)
        rows, columns = max(1, round(high * ratio)), max(1, round(wide * ratio))
        return cls(rows, columns, (size - rows) // 2, (size - columns) // 2, hanging.turn)

    def inside(self, form: T) -> T:
        """Return what there is of the image in squares (..., size, size): (..., rows, columns), as it hangs."""
        cut: T = form[..., self.top : self.top + self.rows, self.left : self.left + self.columns]
        return cut


def resized(pixels: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Resize (images, channels, height, width), smoothing where it gets smaller."""
    return functional.interpolate(pixels, (rows, columns), mode="bilinear", antialias=True, align_corners=False)


def fit(pixels: NDArray[np.float32], size: int, hanging: Hanging) -> NDArray[np.float32]:
    """Bring (channels, height, width) into the square that a network sees: (channels, size, size), padded with 0.

    There it hangs as in a viewer, and its pixels are square, however it is stored (:meth:`Place.of`).
    """
    height, width = pixels.shape[1:]
    place = Place.of(height, width, size, hanging)
    hung = torch.from_numpy(place.turn.of(pixels))
    small = resized(hung[None], place.rows, place.columns)[0]
    right, below = size - place.columns - place.left, size - place.rows - place.top
    formed: NDArray[np.float32] = functional.pad(small, (place.left, right, place.top, below)).numpy()
    return formed
