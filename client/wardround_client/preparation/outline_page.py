"""A hospital's own page of its outlines, over its images as the study's network sees them: it stays at the hospital.

What file names say is hostile text: the template escapes everything, and the page forbids scripts and every connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from types import MappingProxyType

import numpy as np

from wardround_client.images.picture import base64_of, colour_of, draw_edges
from wardround_client.intake.scan_report import shown
from wardround_client.masks.fullest import fullest
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.preparation.outlined import Outlined, Stack
from wardround_common.pages.documents import documents
from wardround_common.refusals import explained, meaning

NAMED = 5
"""Files or folders that are named of each reason."""
SHOWN = 60
"""Examinations, evenly chosen where there are more."""
LEAST_PIXELS = 192
_GAP = 2
"""Pixels between two planes."""


@dataclass(frozen=True)
class Picture:
    """One examination: the slice in which most is outlined, or three planes of a volume."""

    png: str
    caption: str
    file: str


def counted(outlined: Outlined) -> dict[str, int]:
    """Count examinations with outlines, those in which nothing is there, and what is left out by reason."""
    with_one = sum(any(map(any, stack.voxels)) for stack in outlined.stacks)
    counts = {"outlined": with_one, "nothing there": len(outlined.stacks) - with_one}
    return counts | left_out(outlined)


def left_out(outlined: Outlined) -> dict[str, int]:
    """Count image files that are not used, and masks that outline nothing here, by reason."""
    return dict(Counter(outlined.left_out.values())) | {f"mask-{why}": count for why, count in outlined.unmet.items()}


def named(outlined: Outlined) -> dict[str, str]:
    """Name, by reason, the first files that are not used; a folder in the place of all of its files."""
    fates: list[tuple[str, str]] = [(file, "") for stack in outlined.stacks for file in stack.files]
    fates += [(file, f"mask-{why}") for file, why in outlined.unmet_masks]
    fates += outlined.left_out.items()
    in_folder: dict[PurePath, set[str]] = {}
    for file, why in fates:
        in_folder.setdefault(PurePath(file).parent, set()).add(why)
    places: dict[str, dict[str, None]] = {}
    for file, why in sorted(fates):
        folder = PurePath(file).parent
        alike = len(in_folder[folder]) == 1 and folder.name and not why.startswith("mask-")
        places.setdefault(why, {})[str(folder) if alike else file] = None
    return {why: _first([shown(one) for one in files]) for why, files in places.items() if why}


def _first(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class Words:
    """What a page says of itself."""

    title: str
    counted: str
    """What its pictures are of, in the plural."""
    reasons: str
    """The document in which the reasons are."""
    lead: str
    volumes: bool = False
    """Whether pictures are wide."""


def render(outlined: Outlined, classes: tuple[str, ...], study: str, *, made: datetime) -> str:
    """Write the page as one self-contained HTML file."""
    volumes = isinstance(outlined.images, KeptVolumes)
    planes = "three planes through what is outlined" if volumes else "the slice in which most is outlined"
    words = Words(
        f"Outlines for {study}",
        "examinations",
        "docs/segmentation.md",
        f"Of each examination {planes}, in the size and the greys that the network sees.",
        volumes,
    )
    pictures = [_picture(outlined, outlined.stacks[number], classes) for number in evenly(len(outlined.stacks))]
    return written(words, pictures, len(outlined.stacks), left_out(outlined), classes, made, named(outlined))


def evenly(count: int) -> list[int]:
    """Return which of this many are shown: evenly spaced if there are more than 60."""
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int)).tolist()
    return chosen


def written(
    words: Words,
    pictures: Sequence[Picture],
    count: int,
    left_out: Mapping[str, int],
    classes: tuple[str, ...],
    made: datetime,
    named: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write a page of pictures, of ``count`` that there are; ``named``: some files of each reason."""
    return (
        documents(Path(__file__).parent)
        .get_template("outline_page.html")
        .render(
            words=words,
            made=made,
            version=version("wardround"),
            count=count,
            left_out=left_out,
            meaning=meaning,
            named=named,
            classes=[(word, f"rgb{colour_of(number)}") for number, word in enumerate(classes)],
            shown=pictures,
        )
    )


def _picture(outlined: Outlined, stack: Stack, classes: tuple[str, ...]) -> Picture:
    if isinstance(outlined.images, KeptVolumes):
        volume = outlined.images.volumes[stack.rows.start]
        image, mask = volume.image()[0], volume.mask()
    else:
        rows = slice(stack.rows.start, stack.rows.stop)
        image, mask = outlined.images[rows, 0], np.asarray(outlined.masks[rows])
    voxel_ml = float(np.prod(stack.spacing_mm)) / 1000
    sizes = zip(classes, np.sum(stack.voxels, axis=0) * voxel_ml, strict=True)
    said = ", ".join(f"{word} {ml:.1f} mL" for word, ml in sizes if ml) or "nothing there"
    most = fullest(mask)
    where = f"slice {most + 1} of {len(mask)}"
    if not isinstance(outlined.images, KeptVolumes):
        picture = overlaid(image[most], mask[most])
    else:
        picture = three_planes(image, mask, stack.spacing_mm)
        where += ", and the other planes"
    return Picture(picture, f"{where} · {said}", shown(min(stack.files)))


def three_planes(image: np.ndarray, mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> str:
    """Draw a volume (slices, rows, columns) in three planes through what is outlined, side by side: a PNG in Base64.

    Axial, coronal and sagittal, the head above in the latter two, each pixel as large as the smallest side of a voxel.
    """
    step = min(spacing_mm)
    seen = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        at = fullest(mask, (others[0], others[1]))
        times = [round(spacing_mm[other] / step) for other in others]
        planes = [
            np.repeat(np.repeat(volume.take(at, axis), times[0], 0), times[1], 1)[:: -1 if axis else 1]
            for volume in (image, mask)
        ]
        seen.append(planes)
    highest, width = max(len(plane) for plane, _ in seen), sum(plane.shape[1] for plane, _ in seen) + 2 * _GAP
    canvas, drawn = np.zeros((highest, width), np.float32), np.zeros((highest, width), np.uint8)
    left = 0
    for plane, outline in seen:
        top = (highest - len(plane)) // 2
        inside = slice(top, top + len(plane)), slice(left, left + plane.shape[1])
        canvas[inside], drawn[inside] = plane, outline
        left += plane.shape[1] + _GAP
    return overlaid(canvas, drawn)


def overlaid(image: np.ndarray, mask: np.ndarray) -> str:
    """Draw the edges of a mask's structures over an image (rows, columns) from 0 to 1: a PNG in Base64."""
    times = max(1, -(-LEAST_PIXELS // len(image)))
    grey = (np.clip(np.kron(image, np.ones((times, times))), 0, 1) * 255).astype(np.uint8)
    shades = np.repeat(grey[:, :, None], 3, axis=2)
    draw_edges(shades, mask)
    return base64_of(shades)


def said(counts: Mapping[str, int]) -> str:
    """Say counts in a line."""
    return explained({what: count for what, count in counts.items() if count})
