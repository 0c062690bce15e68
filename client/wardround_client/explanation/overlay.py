"""A map drawn over its image, in the shape, the greys and the way round that a viewer shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from wardround_client.images.hanging import NOT_SAID, Hanging
from wardround_client.images.picture import Shades, edge_of, hung

FOR, AGAINST, LESION = (230, 97, 1), (69, 117, 255), (0, 200, 120)
"""Of what speaks for the class, what speaks against it, and the edge of an outlined lesion."""
STRONGEST = 0.65
"""How much of a pixel the colour covers at most."""
PERCENTILE = 99.5
"""The value that is drawn strongest, of all that are not 0: a single pixel does not decide on the others."""
LEAST_PIXELS = 256
UNEVEN = 0.01
"""From this difference of spacings on pixels are not square."""


def drawn(
    image: NDArray[np.float32],
    heat: NDArray[np.float32],
    lesion: NDArray[np.bool_] | None,
    hanging: Hanging = NOT_SAID,
    full: float | None = None,
) -> Shades:
    """Draw a map (rows, columns) over an image (channels, rows, columns) from 0 to 1: (rows, columns, 3) uint8.

    Small images are enlarged by a whole number, and those whose rows and columns lie apart unlike so that they have the
    shape that viewers show; the picture hangs as they do (``hanging``, of the image). ``full``: the value that is drawn
    strongest.
    """
    times = max(1, -(-LEAST_PIXELS // max(heat.shape)))
    grey = np.clip(np.moveaxis(image[:3] if len(image) >= 3 else image[[0, 0, 0]], 0, -1), 0, 1).astype(np.float64)
    strongest = scale_of(heat) if full is None else full
    strength = np.clip(np.abs(heat) / strongest, 0, 1) * STRONGEST if strongest > 0 else np.zeros(heat.shape)
    colour = np.where(heat[..., None] > 0, np.array(FOR), np.array(AGAINST)) / 255
    mixed = grey * (1 - strength[..., None]) + colour * strength[..., None]
    shades: Shades = np.rint(np.kron(mixed, np.ones((times, times, 1))) * 255).astype(np.uint8)
    if lesion is not None:
        large = np.kron(lesion, np.ones((times, times), bool))
        shades[edge_of(large)] = LESION
    return hung(_square(shades, hanging.sides), hanging)


def _square(shades: Shades, sides: tuple[float, float]) -> Shades:
    """Make pixels square, enlarging the direction in which they lie further apart."""
    high, wide = sides
    if not (high > 0 and wide > 0) or abs(high / wide - 1) < UNEVEN:
        return shades
    least = min(high, wide)
    rows, columns = (round(count * side / least) for count, side in zip(shades.shape, sides, strict=False))
    return np.asarray(Pillow.fromarray(shades).resize((columns, rows), Pillow.Resampling.BILINEAR))


def scale_of(heat: NDArray[np.float32]) -> float:
    """Return the value that is drawn strongest; 0 of a map in which nothing is."""
    values = np.abs(heat[heat != 0])
    return float(np.percentile(values, PERCENTILE)) if values.size else 0.0
