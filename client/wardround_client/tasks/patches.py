"""Patches of a volume that a network is trained on: half of them around a structure, half anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wardround_common.randomness import Stream

Extent = tuple[int, int, int]
Value = TypeVar("Value", bound=np.generic)


def corner_of(
    structures: Sequence[NDArray[np.int64]], shape: Extent, window: Extent, stream: Stream
) -> NDArray[np.int64]:
    """Draw where a patch begins: (3,) int64, in voxels of the volume.

    ``structures`` has voxels of each structure that the patch may be centred on, (voxels, 3): of each with the same
    chance, as far as the patch then lies within the volume. Without any it lies anywhere in it. ``shape`` is the
    volume's extent and ``window`` the patch's. Where the volume is smaller than the patch, the patch begins before it,
    so that the volume is in its middle (:func:`cut`).

    What is drawn depends on this volume alone, so that a patient's patches can be clipped as theirs.
    """
    room = np.array(shape) - window  # (3,) the last corner; negative where the patch is larger
    if structures:
        voxels = structures[stream.below(len(structures))]
        corner = voxels[stream.below(len(voxels))] - np.array(window) // 2
    else:
        corner = np.array([stream.below(max(int(most), 0) + 1) for most in room])
    found: NDArray[np.int64] = np.where(room < 0, -(-room // 2), np.clip(corner, 0, np.maximum(room, 0)))
    return found


def cut(volume: NDArray[Value], corner: NDArray[np.int64], window: Extent) -> NDArray[Value]:
    """Cut a patch (…, *window) out of a volume (…, slices, rows, columns); what lies beyond the volume is 0."""
    shape = volume.shape[-3:]
    begin, end = np.maximum(corner, 0), np.minimum(corner + window, shape)
    inside = [slice(int(a), int(b)) for a, b in zip(begin, end, strict=True)]
    there = [slice(int(a), int(b)) for a, b in zip(begin - corner, end - corner, strict=True)]
    patch: NDArray[Value] = np.zeros((*volume.shape[:-3], *window), volume.dtype)
    patch[..., there[0], there[1], there[2]] = volume[..., inside[0], inside[1], inside[2]]
    return patch
