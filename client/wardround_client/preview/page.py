"""The page of a preview: local, for the hospital alone, with no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from wardround_client.images.picture import base64_of, colour_of, draw_edges, greys
from wardround_client.intake.scan_report import shown
from wardround_client.preparation.outline_page import LEAST_PIXELS, three_planes
from wardround_client.preview.stages import Example, Stage
from wardround_client.tasks.box_form import CLASS
from wardround_common.pages.documents import documents
from wardround_common.refusals import meaning
from wardround_common.study.file import Study

MOST_PIXELS = 384
"""Along the longer side of a picture: larger images are drawn smaller."""


@dataclass(frozen=True)
class Drawn:
    """A stage as the page shows it."""

    name: str
    png: str
    figures: str


def written(
    study: Study,
    examples: Sequence[Example],
    *,
    fitting: int,
    left_out: Mapping[str, int],
    notes: Sequence[str],
    series: bool,
    made: datetime,
) -> str:
    """Write the page of some examples, of ``fitting`` images or examinations, as one self-contained HTML file."""
    marked = any(stage.mask is not None or stage.boxes for one in examples for stage in one.stages)
    return (
        documents(Path(__file__).parent)
        .get_template("page.html")
        .render(
            name=study.study.name,
            digest=study.digest(),
            made=made,
            version=version("wardround"),
            counted="examinations" if series else "images",
            fitting=fitting,
            left_out=left_out,
            meaning=meaning,
            notes=notes,
            classes=[(word, f"rgb{colour_of(number)}") for number, word in enumerate(study.groups)] if marked else [],
            augmentations=study.training.augmentations,
            examples=[(one.title, shown(one.file), [_drawn(stage) for stage in one.stages]) for one in examples],
        )
    )


def _drawn(stage: Stage) -> Drawn:
    size = " × ".join(map(str, stage.pixels.shape if stage.volume else stage.pixels.shape[1:]))
    unit = "voxels" if stage.volume else "pixels"
    apart = (
        " × ".join(f"{each:.3g}" for each in stage.spacing_mm[-len(stage.pixels.shape) + (not stage.volume) :])
        if (stage.spacing_mm)
        else ""
    )
    figures = f"{stage.low:.4g} to {stage.high:.4g} · {size} {unit}" + (f" of {apart} mm" if apart else "")
    if stage.volume and stage.spacing_mm is not None:
        mask = np.zeros(stage.pixels.shape, np.uint8) if stage.mask is None else stage.mask
        slices, rows, columns = stage.spacing_mm
        return Drawn(stage.name, three_planes(stage.pixels, mask, (slices, rows, columns)), figures)
    return Drawn(stage.name, picture(stage), figures)


def picture(stage: Stage) -> str:
    """Draw an image (channels, rows, columns) with its mask's edges and its boxes: a PNG in Base64.

    From 0 to 1 where it is scaled, else from its 0.5th to its 99.5th percentile.
    """
    shown = np.clip(stage.pixels, 0, 1) if stage.scaled else greys(stage.pixels)
    eight: NDArray[np.uint8] = (shown * 255).astype(np.uint8)
    planes = eight if len(eight) == 3 else np.repeat(eight[:1], 3, axis=0)
    canvas = Pillow.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))
    longer = max(canvas.size)
    times = MOST_PIXELS / longer if longer > MOST_PIXELS else max(1, -(-LEAST_PIXELS // longer))
    width, height = (max(1, round(side * times)) for side in canvas.size)
    canvas = canvas.resize((width, height), Pillow.Resampling.LANCZOS if times < 1 else Pillow.Resampling.NEAREST)
    if stage.mask is not None:
        shades = np.array(canvas)
        draw_edges(shades, stage.mask)
        canvas = Pillow.fromarray(shades)
    draw = ImageDraw.Draw(canvas)
    for box in stage.boxes:
        top, left, bottom, right = (float(edge) * times for edge in list(box)[:CLASS])
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=colour_of(int(list(box)[CLASS])), width=2)
    return base64_of(canvas)
