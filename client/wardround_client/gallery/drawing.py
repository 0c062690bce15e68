"""Draws the images of one page of the gallery, within limits of time and size; what cannot be drawn says why."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from wardround_client.gallery.catalogue import Entry
from wardround_client.images.hanging import Hanging
from wardround_client.images.picture import Shades, base64_of, draw_edges, greys, hung
from wardround_client.intake.scan_report import LARGEST_THUMBNAIL_BYTES, displayed, shades_of, squared
from wardround_client.volumes import Series, survey
from wardround_common.errors import ImageRefused

PIXELS, LARGE = 224, 640
"""Of the longer side of a picture: on a page of many images, and of one alone."""
WITHIN_S = 20.0
"""For the pictures of a page; those that are left then are not drawn."""
OURS, MODELS = (0, 200, 120), (230, 97, 1)
"""The colours of what the hospital outlined, and of what the model did."""


def drawn(
    folder: Path, entries: Sequence[Entry], within_s: float = WITHIN_S, pixels: int = PIXELS
) -> Iterator[dict[str, Any]]:
    """Yield what a page says of each image: ``png`` in Base64, or ``missing``, why there is none. No name of a file.

    ``pixels``: of the longer side of a picture.
    """
    end = time.monotonic() + within_s
    for one in entries:
        facts: dict[str, Any] = {"number": one.number, "patient": one.patient, "label": one.label}
        facts |= {"answer": one.answer, "error": one.error, "why_said": one.why_said}
        facts["marks"] = marks_of(one)
        facts["why"] = base64.b64encode(one.why).decode("ascii")
        if time.monotonic() > end:
            yield facts | {"png": "", "missing": "not drawn: the page's time was used up"}
            continue
        try:
            yield facts | {"png": base64_of(_marked(folder, one, pixels)), "missing": ""}
        except ImageRefused as refused:
            yield facts | {"png": "", "missing": f"not drawn: {refused.reason}"}
        except (OSError, ValueError, MemoryError):
            yield facts | {"png": "", "missing": "not drawn: it cannot be read now"}


def marks_of(one: Entry) -> str:
    """Say what is marked on an image."""
    ours = [f"{len(one.boxes)} box{'es' if len(one.boxes) > 1 else ''}"] if one.boxes else []
    ours += ["outlined by the hospital"] if one.outline is not None else []
    return ", ".join(ours + (["outlined by the model"] if one.answered is not None else []))


def _marked(folder: Path, one: Entry, pixels: int) -> Pillow.Image:
    path = folder / one.file
    if path.stat().st_size > LARGEST_THUMBNAIL_BYTES:
        raise ImageRefused("too-large", "this file is too large for a gallery")
    shades, hanging = _slice(path, one.slice) if one.slice is not None else _image(path)
    height, width = shades.shape[:2]
    rows, columns = squared(height, width, hanging.sides, pixels)
    canvas = np.array(Pillow.fromarray(shades).convert("RGB").resize((columns, rows), Pillow.Resampling.BILINEAR))
    for shape, colour in ((one.outline, OURS), (one.answered, MODELS)):
        if shape is not None and shape.shape == (height, width):
            draw_edges(canvas, shape, 2, colour)
    picture = Pillow.fromarray(canvas)
    draw, down, across = ImageDraw.Draw(picture), rows / height, columns / width
    for top, left, bottom, right in one.boxes:
        draw.rectangle((left * across, top * down, right * across - 1, bottom * down - 1), outline=OURS)
    return Pillow.fromarray(hung(np.asarray(picture), hanging))


def _image(path: Path) -> tuple[Shades, Hanging]:
    image = displayed(path)
    return shades_of(image.pixels), image.hanging


def _slice(path: Path, at: int) -> tuple[Shades, Hanging]:
    """Read a slice of a file with several, on the grid on which its outlines lie, (rows, columns), and how it hangs."""
    found = survey([path]).series
    if not found or at >= len(found[0]):
        raise ImageRefused(
            "changed", "this file is another one than when the gallery was made", do="Make the gallery again."
        )
    of: Series = found[0]
    return (greys(of.slice(at)) * 255).astype(np.uint8), of.geometry.hanging
