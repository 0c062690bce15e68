"""A picture of a change: each examination beside the first one, where that is cut, with every lesion in its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from wardround_client.images.picture import WHITE, colour_of, draw_edges, greys, hung, png_of
from wardround_client.prediction.over_time import Examined
from wardround_client.prediction.pictures import CAUTION, GREY, Line, made_by, square, with_lines
from wardround_client.tasks.outline_sizes import millilitres
from wardround_client.volumes.geometry import Geometry

MOST_NAMED = 10
"""Lesions of a structure whose sizes stand below the picture, the largest first."""
_FONT = ImageFont.load_default(18)
_BESIDE = 8
"""Pixels between two examinations."""


def picture_of(examinations: Sequence[Examined], change: Mapping[str, Any]) -> bytes:
    """Draw all examinations in the slice of the first one in which most is outlined in any of them: PNG.

    The others are brought onto its grid, and all hang as in a viewer. Below each stand its date and the sizes of its
    lesions.
    """
    first = examinations[0].series.geometry
    masks = [_laid(one, one.views[0].astype(np.float32), examinations[0], order=0) for one in examinations]
    counts = np.sum([np.count_nonzero(mask, axis=(1, 2)) for mask in masks], axis=0)
    at = int(counts.argmax()) if counts.any() else first.shape[0] // 2
    panels = []
    for t, (one, mask) in enumerate(zip(examinations, masks, strict=True)):
        grey = greys(_laid(one, one.series.volume(), examinations[0], order=1, only=at)[0])
        shades, _ = square(grey, first.hanging.sides)
        draw_edges(shades, mask[at].astype(np.uint8), width=2)
        panels.append(with_lines(_numbered(hung(shades, first.hanging), t, one, at, first, change), _lines(t, change)))
    height = max(len(panel) for panel in panels)
    canvas = np.zeros((height, sum(panel.shape[1] + _BESIDE for panel in panels) - _BESIDE, 3), np.uint8)
    left = 0
    for panel in panels:
        canvas[: len(panel), left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _BESIDE
    return png_of(canvas)


def _numbered(
    shades: NDArray[np.uint8], t: int, one: Examined, at: int, first: Geometry, change: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """Write the number of each lesion that reaches into the slice where its middle is."""
    canvas, turn = Pillow.fromarray(shades), first.hanging.turn
    stored = turn.inverse.shape(*shades.shape[:2])
    draw = ImageDraw.Draw(canvas)
    for structure in change["structures"]:
        for lesion in structure["lesions"][:MOST_NAMED]:
            seen = lesion["seen"][t]
            if seen["centre"] is None:
                continue
            slice_, row, column = first.to_index((one.registered.to_first @ [*seen["centre"], 1.0])[:3])
            if abs(slice_ - at) * first.spacing_mm[0] > seen["long_axis_mm"] / 2:
                continue
            y, x = (
                (index + 0.5) / count * side
                for index, count, side in zip((row, column), first.shape[1:], stored, strict=True)
            )
            y, x, _, _ = turn.box((y, x, y, x), *stored)
            draw.text((x, y), str(lesion["lesion"]), WHITE, _FONT, anchor="mm", stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(canvas)


def _lines(t: int, change: Mapping[str, Any]) -> list[Line]:
    lines: list[Line] = [(change["examinations"][t]["date"], WHITE)]
    for number, structure in enumerate(change["structures"]):
        volume, diameters = (structure[name]["of"][t] for name in ("volume_ml", "sum_of_diameters_mm"))
        said = f"{structure['structure']}: {millilitres(volume)}, sum of diameters {diameters:.1f} mm"
        lines.append((said, colour_of(number)))
        for lesion in structure["lesions"][:MOST_NAMED]:
            seen = lesion["seen"][t]
            size = f"{seen['long_axis_mm']:.1f} x {seen['short_axis_mm']:.1f} mm" if seen["parts"] else ""
            lines.append((f"    {lesion['lesion']} {seen['state']} {size}".rstrip(), WHITE))
    if change["examinations"][t]["unlike"]:
        lines.append(("Unlike the training of the model", CAUTION))
    return [*lines, (made_by(change["model"]), GREY)]


def _laid(
    one: Examined, values: NDArray[Any], first: Examined, *, order: int, only: int | None = None
) -> NDArray[np.float32]:
    """Bring values of an examination onto the grid of the first one, or onto one slice of it."""
    grid = first.series.geometry
    matrix = one.series.geometry.inverse @ np.linalg.inv(one.registered.to_first) @ grid.affine
    offset, shape = matrix[:3, 3], grid.shape
    if only is not None:
        offset, shape = offset + matrix[:3, 0] * only, (1, *grid.shape[1:])
    laid: NDArray[np.float32] = ndimage.affine_transform(
        values.astype(np.float32), matrix[:3, :3], offset, shape, order=order, cval=0.0
    )
    return laid
