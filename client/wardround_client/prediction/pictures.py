"""Pictures of an answer for a person to look at: outlines and diameters over their slices, with every number below.

An image hangs in them as in a viewer, whichever way round it is stored, and its pixels are square.
Nothing in them says whose they are: below a picture stand results, the number of the slice and the name of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from wardround_client.images import read_image
from wardround_client.images.hanging import Hanging
from wardround_client.images.picture import BLACK, WHITE, Shades, colour_of, draw_edges, greys, hung
from wardround_client.prediction.capture import Picture
from wardround_client.prediction.predicting import Done
from wardround_client.tasks.contract import cautions_of, numbers_of, thresholds_of
from wardround_client.tasks.outline_sizes import millilitres
from wardround_client.volumes import Series
from wardround_common.counting import chance, count, rounded
from wardround_common.results.model_folder import Card

LEAST_SIDE, MOST_SIDE = 512, 1024
"""Pixels of the longer side of an image in a picture."""
MOST_SHOWN = 20
"""Slices of an examination, those of its largest parts first."""
MOST_LINES = 8
"""Parts of a structure in one slice whose sizes are written and drawn, the largest first."""
Floats = NDArray[np.floating[Any]]
Line = tuple[str, tuple[int, int, int]]
"""A line of text and its colour."""
GREY, CAUTION = (170, 170, 170), (255, 220, 90)
_BESIDE = 8
"""Pixels around text."""


def pictures_of(done: Done, card: Card) -> list[Picture]:
    """Draw an answer: of outlines each slice in which a part is longest, of anything else the image itself.

    Raises:
        ImageRefused: the image cannot be read.
    """
    if done.answer.outline is None:
        return [_of_image(done, card)]
    series, structures = done.case.series[0], done.answer.facts["structures"]
    largest = sorted(
        ((float(part["volume_ml"]), int(part["slice"]) - 1) for one in structures for part in one["lesions"]),
        reverse=True,
    )
    wanted = list(dict.fromkeys(at for _, at in largest))[:MOST_SHOWN] or [len(series) // 2]
    cautions = lines_of_cautions(done)
    return [_of_slice(at, series, done.answer.outline[at], structures, cautions, card) for at in wanted]


def lines_of_cautions(done: Done) -> list[Line]:
    """Write below a picture what must be known of its answer besides it."""
    return [
        (f"{caution[0].upper()}{caution[1:]}", CAUTION) for caution in cautions_of(done.asked.about | done.answer.facts)
    ]


def _of_slice(
    at: int,
    series: Series,
    mask: Shades,
    structures: Sequence[Mapping[str, Any]],
    cautions: Sequence[Line],
    card: Card,
) -> Picture:
    hanging = series.geometry.hanging
    shades, pixel_mm = square(greys(series.slice(at)), hanging.sides)
    draw_edges(shades, mask, width=2)
    lines: list[Line] = []
    canvas = Pillow.fromarray(shades)
    draw = ImageDraw.Draw(canvas)
    for number, one in enumerate(structures):
        colour = colour_of(number)
        lines.append((_of_structure(one), colour))
        here = [(part, lesion) for part, lesion in enumerate(one["lesions"], 1) if lesion["slice"] - 1 == at]
        for part, lesion in here[:MOST_LINES]:
            for axis in ("long_axis", "short_axis"):
                ends = [series.geometry.to_index(place) for place in lesion[axis]]
                line = [_point(end, hanging.sides, pixel_mm) for end in ends]
                draw.line(line, BLACK, 4)  # else it cannot be seen where the image is bright
                draw.line(line, WHITE, 2)
            if len(one["lesions"]) > 1:
                lines.append((f"    here part {part}: {_size(lesion)}, {millilitres(lesion['volume_ml'])}", colour))
        if len(here) > MOST_LINES:
            lines.append((f"    and {count(len(here) - MOST_LINES, 'smaller part')} here", colour))
    lines += [*cautions, (f"Slice {at + 1} of {len(series)}. {made_by(card.name)}", GREY)]
    return Picture(with_lines(hung(np.asarray(canvas), hanging), lines), (at,), pixel_mm, hanging.turn)


def _of_structure(one: Mapping[str, Any]) -> str:
    parts = len(one["lesions"])
    if not parts:
        return f"{one['structure']}: nothing outlined"
    longest = max(one["lesions"], key=lambda lesion: float(lesion["long_axis_mm"]))
    several = f" in {parts} parts, the longest" if parts > 1 else ","
    return f"{one['structure']}: {millilitres(one['volume_ml'])}{several} {_size(longest)}"


def _size(lesion: Mapping[str, Any]) -> str:
    return f"{lesion['long_axis_mm']:.1f} x {lesion['short_axis_mm']:.1f} mm"


def _of_image(done: Done, card: Card) -> Picture:
    image, hanging = image_of(done)
    shades, _ = square(image, hanging.sides)
    lines = [*lines_of(done.asked.about | done.answer.facts), *lines_of_cautions(done), (made_by(card.name), GREY)]
    return Picture(with_lines(hung(shades, hanging), lines), turn=hanging.turn)


def image_of(done: Done) -> tuple[Floats, Hanging]:
    """Read the image of an answer from 0 to 1, (rows, columns) or (rows, columns, 3), and how it hangs.

    Raises:
        ImageRefused: it cannot be read.
    """
    image = read_image(done.case.files[0])
    return greys(np.moveaxis(image.pixels, 0, -1) if len(image.pixels) == 3 else image.pixels[0]), image.hanging


def lines_of(facts: Mapping[str, Any]) -> list[Line]:
    """Write an answer without an outline below its image: the finding, its numbers, and what was decided on them."""
    finding, numbers = numbers_of(facts)
    thresholds = thresholds_of(facts)
    decided = [_decided(one, thresholds.get(word)) for word, one in facts.get("findings", {}).items()]
    lines: list[Line] = [(finding, colour_of(0))]
    written = rounded if "measurement" in facts else chance
    for (name, number), what in zip(numbers.items(), decided or [""] * len(numbers), strict=True):
        lines.append((f"    {name}: {written(number)}{what}", WHITE))
    if "probabilities" in facts:
        lines += [(f"    threshold for {word}: {chance(point)}", WHITE) for word, point in thresholds.items()]
    if weights := facts.get("weights"):
        lines.append(
            (f"    of {len(weights)} images together, of which this one weighs {max(weights.values()):.0%}", WHITE)
        )
    elif "images" in facts:
        lines.append((f"    of {facts['images']} images together, read in their order", WHITE))
    return lines


def _decided(one: Mapping[str, Any], threshold: float | None) -> str:
    """Say whether a finding is present, and from where on: a probability of 0.99 may be below its operating point."""
    above = "" if threshold is None else f" (threshold {chance(threshold)})"
    return f", {'present' if one['present'] else 'absent'}{above}"


def made_by(model: str) -> str:
    """Say below a picture that a model made it, and which."""
    return f"Made by a model, not by a person: {model}"


def square(image: Floats, spacing_mm: tuple[float, float]) -> tuple[Shades, float]:
    """Draw an image (rows, columns) or (rows, columns, 3) from 0 to 1 with square pixels, larger where it is small.

    ``spacing_mm``: between rows and columns. Returns (rows, columns, 3) and the side of one of its pixels in mm.
    """
    sides_mm = np.array(image.shape[:2]) * spacing_mm
    longest = int(np.clip(round(sides_mm.max() / min(spacing_mm)), LEAST_SIDE, MOST_SIDE))
    pixel_mm = float(sides_mm.max() / longest)
    rows, columns = (max(1, round(side / pixel_mm)) for side in sides_mm)
    shades = (image * 255).round().astype(np.uint8)
    resized = Pillow.fromarray(shades).resize((columns, rows), Pillow.Resampling.BILINEAR).convert("RGB")
    return np.array(resized), pixel_mm


def _point(index: Floats, spacing_mm: tuple[float, float], pixel_mm: float) -> tuple[float, float]:
    """Return where an index (slice, row, column) of a voxel's centre lies in a picture: x, y."""
    row, column = ((float(index[axis + 1]) + 0.5) * spacing_mm[axis] / pixel_mm for axis in (0, 1))
    return column, row


def with_lines(picture: Shades, lines: Sequence[Line]) -> Shades:
    """Put lines of text below a picture (rows, columns, 3), wrapped to its width and never over it.

    A picture narrower than 512 pixels gets a margin, so that a line has room.
    """
    width = max(picture.shape[1], LEAST_SIDE)
    font = ImageFont.load_default(max(16, width // 36))
    step = round(1.35 * max(16, width // 36))
    wrapped = [(part, colour) for text, colour in lines for part in _wrapped(text, font, width - 2 * _BESIDE)]
    whole = Pillow.new("RGB", (width, picture.shape[0] + step * len(wrapped) + 2 * _BESIDE))
    whole.paste(Pillow.fromarray(picture), ((width - picture.shape[1]) // 2, 0))
    draw = ImageDraw.Draw(whole)
    for number, (text, colour) in enumerate(wrapped):
        draw.text((_BESIDE, picture.shape[0] + _BESIDE + number * step), text, colour, font)
    return np.asarray(whole)


def _wrapped(text: str, font: Any, width: int) -> Iterator[str]:
    words = text.lstrip().split(" ")
    margin = " " * (len(text) - len(text.lstrip()))
    line = margin + words[0]
    for word in words[1:]:
        longer = f"{line} {word}"
        if font.getlength(longer) > width:
            yield line
            line = f"{margin}    {word}"
        else:
            line = longer
    yield line
