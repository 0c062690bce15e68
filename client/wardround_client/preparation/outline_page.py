"""A hospital's own page of its outlines, over its images as the study's network sees them: it stays at the hospital.

What file names say is hostile text: the template escapes everything, and the page forbids scripts and every connection.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image as Pillow
from scipy import ndimage

from wardround_client.intake.scan_report import shown
from wardround_client.preparation.slices import Slices, Stack

SHOWN = 60
"""Examinations, evenly chosen where there are more."""
LEAST_PIXELS = 192
COLOURS = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167]])
"""Of the first structure, the second and so on, for eyes of every kind (Okabe and Ito 2008); they repeat."""


@dataclass(frozen=True)
class Picture:
    """One examination: the slice in which most is outlined."""

    png: str
    caption: str
    file: str


def counted(slices: Slices) -> dict[str, int]:
    """Count examinations with outlines, those in which nothing is there, and what is left out by reason."""
    with_one = sum(bool(slices.masks[_rows(stack)].any()) for stack in slices.stacks)
    counts = {"outlined": with_one, "nothing there": len(slices.stacks) - with_one}
    return counts | left_out(slices)


def left_out(slices: Slices) -> dict[str, int]:
    """Count image files that are not used, and masks that outline nothing here, by reason."""
    return dict(Counter(slices.left_out.values())) | {f"mask-{why}": count for why, count in slices.unmet.items()}


def render(slices: Slices, classes: tuple[str, ...], study: str, *, made: datetime) -> str:
    """Write the page as one self-contained HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chosen = np.unique(np.linspace(0, len(slices.stacks) - 1, min(SHOWN, len(slices.stacks))).round().astype(int))
    return environment.get_template("outline_page.html").render(
        study=study,
        made=made,
        version=version("wardround"),
        examinations=len(slices.stacks),
        left_out=left_out(slices),
        classes=[(word, _css(number)) for number, word in enumerate(classes)],
        shown=[_picture(slices, slices.stacks[number], classes) for number in chosen],
    )


def _rows(stack: Stack) -> slice:
    return slice(stack.rows.start, stack.rows.stop)


def _picture(slices: Slices, stack: Stack, classes: tuple[str, ...]) -> Picture:
    masks = slices.masks[_rows(stack)]
    most = int(np.count_nonzero(masks, axis=(1, 2)).argmax())
    voxel_ml = float(np.prod(stack.spacing_mm)) / 1000
    sizes = [(word, np.count_nonzero(masks == number) * voxel_ml) for number, word in enumerate(classes, 1)]
    said = ", ".join(f"{word} {ml:.1f} mL" for word, ml in sizes if ml) or "nothing there"
    picture = overlaid(slices.images[stack.rows.start + most, 0], masks[most])
    return Picture(picture, f"slice {most + 1} of {len(masks)} · {said}", shown(min(stack.files)))


def overlaid(image: np.ndarray, mask: np.ndarray) -> str:
    """Draw the edges of a mask's structures over an image (rows, columns) from 0 to 1: a PNG in Base64."""
    times = max(1, -(-LEAST_PIXELS // len(image)))
    grey = (np.clip(np.kron(image, np.ones((times, times))), 0, 1) * 255).astype(np.uint8)
    large = np.kron(mask, np.ones((times, times), np.uint8))
    shades = np.repeat(grey[:, :, None], 3, axis=2)
    for structure in np.unique(mask[mask > 0]).tolist():
        there = large == structure
        shades[there & ~ndimage.binary_erosion(there)] = _colour(structure - 1)
    file = BytesIO()
    Pillow.fromarray(shades).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _colour(number: int) -> np.ndarray:
    return np.asarray(COLOURS[number % len(COLOURS)])


def _css(number: int) -> str:
    return "rgb({}, {}, {})".format(*_colour(number).tolist())


def said(counts: Mapping[str, int]) -> str:
    """Say counts in a line."""
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
