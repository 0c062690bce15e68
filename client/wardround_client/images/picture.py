"""What all pictures for people have in common: greys, the colours and edges of structures, and how they are written."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from wardround_client.images.hanging import Hanging, opposite

DARKEST_BRIGHTEST = (0.5, 99.5)
"""Percentiles of an image between which its greys lie."""
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Of the first structure, the second and so on, for eyes of every kind (Okabe and Ito 2008); they repeat."""
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LEAST_LETTER = 14
"""Pixels of the height of a letter at the edge of a picture."""
Shades = NDArray[np.uint8]
"""A picture: (rows, columns, 3), or (rows, columns) of greys."""


def greys(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Bring an image's values to 0 to 1, but for the brightest and the darkest few."""
    low, high = np.percentile(values, DARKEST_BRIGHTEST)
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def hung(drawn: Shades, hanging: Hanging) -> Shades:
    """Return a picture (rows, columns, 3) of a stored image as it hangs, with the sides of the patient, where known.

    As in viewers, the letters at the left and the upper edge are those of PatientOrientation (PS3.3 C.7.6.1.1.1).
    """
    turned = hanging.turn.picture(drawn)
    if not hanging.towards:
        return turned
    picture = Pillow.fromarray(np.ascontiguousarray(turned))
    rows, columns = hanging.turn.letters(hanging.towards)
    font = ImageFont.load_default(size := max(LEAST_LETTER, picture.width // 32))
    draw = ImageDraw.Draw(picture)
    left, top = (size // 3, picture.height // 2), (picture.width // 2, size // 3)
    for at, anchor, side in ((left, "lm", rows), (top, "mt", columns)):
        draw.text(at, opposite(side), WHITE, font, anchor=anchor, stroke_width=2, stroke_fill=BLACK)
    return np.array(picture)


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a structure or class, by its number from 0."""
    return COLOURS[number % len(COLOURS)]


def edge_of(there: NDArray[np.bool_], width: int = 1) -> NDArray[np.bool_]:
    """Return the pixels of a structure at its edge, ``width`` of them from outside to inside."""
    edge: NDArray[np.bool_] = there & ~scipy.ndimage.binary_erosion(there, iterations=width)
    return edge


def draw_edges(shades: Shades, structures: Shades, width: int = 1, colour: tuple[int, int, int] | None = None) -> None:
    """Draw the edges of structures into a picture of them; 0 is background. ``colour``: of all; else each has its own.

    ``shades`` (rows, columns, 3), and ``structures`` (rows, columns) of the image, which may be smaller.
    """
    large = np.asarray(Pillow.fromarray(structures).resize(shades.shape[1::-1], Pillow.Resampling.NEAREST))
    for number in np.unique(large[large > 0]).tolist():
        shades[edge_of(large == number, width)] = colour or colour_of(number - 1)


def png_of(picture: Pillow.Image | Shades) -> bytes:
    """Write a picture as PNG."""
    drawn = Pillow.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    drawn.save(file := BytesIO(), "PNG", optimize=True)
    return file.getvalue()


def base64_of(picture: Pillow.Image | Shades) -> str:
    """Write a picture as PNG in Base64, as pages hold it."""
    return base64.b64encode(png_of(picture)).decode("ascii")
