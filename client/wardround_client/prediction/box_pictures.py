"""Pictures of boxes over their images, with every confidence below, for a person to look at.

As in all pictures of answers, nothing in them says whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from wardround_client.images.hanging import Hanging
from wardround_client.images.picture import colour_of, greys, hung
from wardround_client.prediction.capture import Picture
from wardround_client.prediction.pictures import (
    GREY,
    MOST_SHOWN,
    Floats,
    Line,
    image_of,
    lines_of_cautions,
    made_by,
    square,
    with_lines,
)
from wardround_client.prediction.predicting import Done
from wardround_client.tasks.contract import thresholds_of
from wardround_common.counting import chance, count
from wardround_common.results.model_folder import Card

MOST_LINES = 8
"""Boxes of a picture whose sizes are written, the most confident first; all are drawn."""


def pictures_of_boxes(done: Done, card: Card) -> list[Picture]:
    """Draw an answer: of a series each slice with a box, that of the most confident first; else the image itself.

    Raises:
        ImageRefused: the image cannot be read.
    """
    boxes, thresholds = done.answer.facts["boxes"], thresholds_of(done.answer.facts)
    words = list(card.classes)
    cautions = [
        *((f"threshold for {word}: a confidence of {chance(point)}", GREY) for word, point in thresholds.items()),
        *lines_of_cautions(done),
    ]
    if not done.case.series:
        image, hanging = image_of(done)
        shades, lines, _ = _boxed(image, hanging, boxes, words)
        below = [*lines, *cautions, (made_by(card.name), GREY)]
        return [Picture(with_lines(shades, below), turn=hanging.turn)]
    series, hanging = done.case.series[0], done.case.series[0].geometry.hanging
    wanted = list(dict.fromkeys(box["slice"] - 1 for box in boxes))[:MOST_SHOWN] or [len(series) // 2]
    made = []
    for at in wanted:
        here = [box for box in boxes if box["slice"] - 1 == at]
        shades, lines, pixel_mm = _boxed(greys(series.slice(at)), hanging, here, words)
        lines += [*cautions, (f"Slice {at + 1} of {len(series)}. {made_by(card.name)}", GREY)]
        made.append(Picture(with_lines(shades, lines), (at,), pixel_mm, hanging.turn))
    return made


def _boxed(
    image: Floats, hanging: Hanging, boxes: Sequence[Mapping[str, Any]], words: Sequence[str]
) -> tuple[np.ndarray, list[Line], float]:
    shades, pixel_mm = square(image, hanging.sides)
    down, across = (side / pixel_mm for side in hanging.sides)
    canvas, lines = Pillow.fromarray(shades), list[Line]()
    draw = ImageDraw.Draw(canvas)
    for number, box in enumerate(boxes):
        colour = colour_of(words.index(box["class"]))
        edges = (box["x0"] * across, box["y0"] * down, box["x1"] * across, box["y1"] * down)
        draw.rectangle(edges, outline=colour, width=2)
        if number < MOST_LINES:
            size = f", {box['width_mm']:.1f} x {box['height_mm']:.1f} mm" if "width_mm" in box else ""
            lines.append((f"{box['class']}: confidence {chance(box['confidence'], 2)}{size}", colour))
    if len(boxes) > MOST_LINES:
        lines.append((f"and {count(len(boxes) - MOST_LINES, 'less confident box', 'less confident boxes')} here", GREY))
    return hung(np.asarray(canvas), hanging), lines or [("no box", GREY)], pixel_mm
