"""A hospital's own page of its boxes, over its images as the study's network sees them: it stays at the hospital."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from wardround_client.images import read_image
from wardround_client.images.picture import base64_of, colour_of
from wardround_client.intake.boxes import Boxes
from wardround_client.intake.scan_report import shown
from wardround_client.masks.fullest import fullest
from wardround_client.preparation import outline_page, preprocessing
from wardround_client.preparation.outlined import Images, Outlined, Stack
from wardround_client.tasks.box_form import around_parts, to_form
from wardround_common.errors import ImageRefused
from wardround_common.study.data import Data

T = TypeVar("T")
Form = Sequence[tuple[float, ...]]
"""Boxes in the network's form: upper, left, lower, right edge and the number of the class."""


def of_table(said: Boxes, folder: Path, data: Data, classes: tuple[str, ...], study: str, made: datetime) -> str:
    """Write the page of boxes from a table: images with boxes and without, evenly chosen."""
    pictures = []
    for file in _some(sorted(said.of)):
        try:
            image = read_image(folder / file, voi=data.intensity == "window")
            formed, area = preprocessing.located(image, data)
        except ImageRefused:
            continue  # it changed since it was scanned; the next scan says so
        boxes = to_form(said.of[file], area, data.square, image.hanging)
        pictures.append(outline_page.Picture(_drawn(formed[0], boxes), _told(boxes, classes), shown(file)))
    counts = {f"boxes-{why}": count for why, count in said.unmet.items()}
    return outline_page.written(_words(study, "images", "Of each image"), pictures, len(said.of), counts, classes, made)


def of_masks(outlined: Outlined, classes: tuple[str, ...], study: str, made: datetime) -> str:
    """Write the page of boxes around the parts of masks: of each examination the slice in which most is outlined."""
    pictures = [_of_stack(outlined, outlined.stacks[number], classes) for number in _some(range(len(outlined.stacks)))]
    words = _words(study, "examinations", "Of each examination the slice in which most is outlined")
    left_out, named = outline_page.left_out(outlined), outline_page.named(outlined)
    return outline_page.written(words, pictures, len(outlined.stacks), left_out, classes, made, named)


def said_of_table(said: Boxes) -> str:
    """Say on the screen what a table holds: boxes, images without, and lines that are of no image here."""
    counts = {
        "boxes": sum(map(len, said.of.values())),
        "images with a box": sum(map(bool, said.of.values())),
        "images in which nothing is": sum(not boxes for boxes in said.of.values()),
    }
    return outline_page.said(counts | {f"boxes-{why}": count for why, count in said.unmet.items()})


def _words(study: str, counted: str, lead: str) -> outline_page.Words:
    return outline_page.Words(
        f"Boxes for {study}",
        counted,
        "docs/detection.md",
        f"{lead}, in the size and the greys that the network sees.",
    )


def _some(all_of_them: Sequence[T]) -> list[T]:
    return [all_of_them[at] for at in outline_page.evenly(len(all_of_them))]


def _of_stack(outlined: Outlined, stack: Stack, classes: tuple[str, ...]) -> outline_page.Picture:
    rows = slice(stack.rows.start, stack.rows.stop)
    masks = np.asarray(outlined.masks[rows])
    most = fullest(masks)
    boxes = around_parts(masks[most], len(classes))
    image: Images = np.asarray(outlined.images[rows.start + most])  # type: ignore[index]  # of slices
    caption = f"slice {most + 1} of {len(masks)} · {_told(boxes, classes)}"
    return outline_page.Picture(_drawn(image[0], boxes), caption, shown(min(stack.files)))


def _told(boxes: Form, classes: tuple[str, ...]) -> str:
    counts = Counter(classes[int(box[4])] for box in boxes)
    return ", ".join(f"{word} {count}" for word, count in counts.items()) or "nothing there"


def _drawn(image: np.ndarray, boxes: Form) -> str:
    """Draw boxes over an image (rows, columns) from 0 to 1: a PNG in Base64."""
    times = max(1, -(-outline_page.LEAST_PIXELS // len(image)))
    grey = (np.clip(np.kron(image, np.ones((times, times))), 0, 1) * 255).astype(np.uint8)
    canvas = Pillow.fromarray(grey).convert("RGB")
    draw = ImageDraw.Draw(canvas)
    for top, left, bottom, right, of_class in boxes:
        edges = [at * times for at in (left, top, right, bottom)]
        draw.rectangle((*edges[:2], edges[2] - 1, edges[3] - 1), outline=colour_of(int(of_class)))
    return base64_of(canvas)
