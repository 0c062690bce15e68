"""The local report of a scan: one HTML file with thumbnails, which stays in the hospital.

What DICOM attributes and file names say is hostile text: the template escapes everything, and the page forbids
scripts and every connection. PatientName and its like are never read; patients appear as counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from wardround_client.images import Image, read_image
from wardround_client.images.meaning import Values
from wardround_client.images.picture import Shades, base64_of
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import Labels
from wardround_client.intake.patients import guessed, said_of_doubts, said_of_patients
from wardround_client.intake.scan_summary import Summary, scanner_of
from wardround_common.counting import count
from wardround_common.errors import ImageRefused
from wardround_common.pages.documents import documents
from wardround_common.refusals import MEANINGS

THUMBNAILS_A_SCANNER = 8
MOST_SCANNERS = 12
THUMBNAIL_PIXELS = 144
EXAMPLES = 5
"""Files that are named for each reason of a refusal."""
LISTED_PAIRS = 20
LISTED_CONTRADICTIONS = 12
LISTED_ROWS = 12
LARGEST_THUMBNAIL_BYTES = 64 << 20
"""Larger files are not read a second time for the sake of a thumbnail."""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of one image, ready for the page."""

    png: str
    caption: str
    file: str
    inverted: bool


def render(folder: Path, index: Index, labels: Labels | None, summary: Summary, *, made: datetime) -> str:
    """Write the report as one self-contained HTML page; reads a few images again for their thumbnails."""
    environment = documents(Path(__file__).parent)
    environment.filters["shown"] = shown
    environment.globals["plural"] = count
    environment.filters["thousands"] = lambda number: f"{number:,}"
    examples: dict[str, list[str]] = defaultdict(list)
    for refusal in index.refused:
        if len(examples[refusal.reason]) < EXAMPLES:
            examples[refusal.reason].append(f"{shown(refusal.file)}: {refusal.detail}")
    return environment.get_template("scan_report.html").render(
        folder=folder.resolve().name or str(folder.resolve()),
        made=made,
        version=version("wardround"),
        summary=summary,
        refused_count=sum(summary.refused.values()),
        refusals=[
            (reason, count, *MEANINGS.get(reason, ("", "")), examples[reason])
            for reason, count in summary.refused.items()
        ],
        tables=_tables(summary),
        scanners=_scanners(folder, index, labels),
        more_scanners=max(0, len(summary.scanners) - MOST_SCANNERS),
        pairs=_pairs(summary),
        patients_said=said_of_patients(summary.patients_by, summary.confirmed),
        guesses_open=bool(guessed(summary.patients_by).keys() - set(summary.confirmed)),
        doubts=said_of_doubts(summary.doubts),
        contradictions=_contradictions(folder, summary, labels),
        verdict=_verdict(summary),
        parts=[(anchor, title) for anchor, title, there in _parts(summary) if there],
    )


def _parts(summary: Summary) -> list[tuple[str, str, bool]]:
    """Return the contents of the page: anchors, titles, and whether they are there."""
    accepted = bool(summary.accepted)
    return [
        ("patients", "Who is a patient", accepted),
        ("refused", "Refused", bool(summary.refused)),
        ("labels", "Labels", True),
        ("disagree", "Labels disagree", bool(summary.contradictions)),
        ("scanners", "Scanners", accepted),
        ("files", "Files", accepted),
        ("duplicates", "Suspected duplicates", bool(summary.duplicates)),
    ]


def _verdict(summary: Summary) -> list[tuple[str, str]]:
    """Answer in three lines: can these images be used, what speaks against it, what now."""
    refused = sum(summary.refused.values())
    labelled = sum(summary.labels.values()) if summary.labels else 0
    good = f"{count(summary.accepted, 'image')} of {count(summary.patients, 'patient')} can be used"
    good += f", {refused:,} refused" if refused else ""
    good += f"; {labelled:,} have a label" if labelled else "; none has a label yet"
    between, guesses = len(summary.duplicates_between_patients), guessed(summary.patients_by).keys()
    risks = [f"{count(between, 'pair')} of alike images between patients"] if between else []
    risks += [f"{count(len(summary.contradictions), 'pair')} of alike images with different labels"] * bool(
        summary.contradictions
    )
    risks += ["some patients are guessed"] * bool(guesses - set(summary.confirmed))
    risks += ["the de-identification check was relaxed"] * bool(summary.relaxed)
    now = "take part in a study: 'wardround hospital serve', or try one with 'wardround simulate'"
    if not summary.accepted:
        now = "see below what was refused and why"
    elif risks or not labelled:
        now = "settle what is named here first; the sections below say how"
    return [("Usable?", good), ("Doubts?", "; ".join(risks) or "nothing found that speaks against it"), ("Now", now)]


def shown(name: str) -> str:
    """Write a file name so that it can be read and cannot deceive: what does not print becomes an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def _pairs(summary: Summary) -> list[tuple[str, str, bool]]:
    between = summary.duplicates_between_patients
    within = [pair for pair in summary.duplicates if pair[0].patient == pair[1].patient]
    return [(a.file, b.file, a.patient != b.patient) for a, b in (between + within)[:LISTED_PAIRS]]


def _contradictions(folder: Path, summary: Summary, labels: Labels | None) -> list[tuple[str, list[Thumbnail]]]:
    """Return each pair whose labels disagree as (patients, [both thumbnails]); pairs between patients first."""
    words = labels.words if labels else {}
    first = sorted(summary.contradictions, key=lambda pair: pair[0].patient == pair[1].patient)[:LISTED_CONTRADICTIONS]
    return [
        (
            "one patient" if pair[0].patient == pair[1].patient else "two patients",
            [_thumbnail(folder, i, words) or Thumbnail("", words[i.file], shown(i.file), False) for i in pair],
        )
        for pair in first
    ]


def _tables(summary: Summary) -> list[tuple[str, list[tuple[str, int, float]], int]]:
    """Return each count as (title, [(word, images, part of all)], how many words are not listed)."""
    tables = {
        "Modality": summary.modalities,
        "Size in pixels": summary.sizes,
        "Bits": summary.bits,
        "Photometric interpretation": summary.photometric,
        "Transfer syntax": summary.transfer_syntaxes,
    }
    if len(summary.frames) > 1 or "single image" not in summary.frames:
        tables["Frames"] = summary.frames
    whole = max(1, summary.accepted)
    return [
        (
            title,
            [(word, count, count / whole) for word, count in list(counts.items())[:LISTED_ROWS]],
            max(0, len(counts) - LISTED_ROWS),
        )
        for title, counts in tables.items()
        if counts
    ]


def _scanners(folder: Path, index: Index, labels: Labels | None) -> list[dict[str, object]]:
    by_scanner: dict[str, list[Instance]] = defaultdict(list)
    for instance in index.accepted:
        by_scanner[scanner_of(instance)].append(instance)
    words = labels.words if labels else {}
    most_first = sorted(by_scanner.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_SCANNERS]
    return [
        {
            "name": name,
            "images": len(instances),
            "patients": len({instance.patient for instance in instances}),
            "modalities": ", ".join(sorted({instance.modality for instance in instances} - {""})),
            "sizes": _range([f"{i.rows} × {i.columns}" for i in instances]),
            "bits": _range([i.bits.partition("/")[2] for i in instances]),
            "spacing": _spacing(instances),
            "thumbnails": _thumbnails(folder, instances, words),
        }
        for name, instances in most_first
    ]


def _range(words: list[str]) -> str:
    different = sorted(set(words), key=lambda word: [int(part) for part in word.split(" × ")])
    return different[0] if len(different) == 1 else f"{different[0]} to {different[-1]}"


def _spacing(instances: list[Instance]) -> str:
    found = [instance.spacing_mm[-2] for instance in instances if instance.spacing_mm]
    if not found:
        return "not stated"
    low, high = f"{min(found):.3g}", f"{max(found):.3g}"
    return f"{low} mm" if low == high else f"{low} to {high} mm"


def _thumbnails(folder: Path, instances: list[Instance], words: dict[str, str]) -> list[Thumbnail]:
    made = (_thumbnail(folder, instance, words) for instance in _spread(instances, words))
    return [thumbnail for thumbnail in made if thumbnail]


def _thumbnail(folder: Path, instance: Instance, words: dict[str, str]) -> Thumbnail | None:
    if instance.size_bytes > LARGEST_THUMBNAIL_BYTES:
        return None
    try:
        png = _png(displayed(folder / instance.file))
    except ImageRefused:
        return None  # it changed since the scan read it, which the next scan will say
    caption = words.get(instance.file, "")
    if instance.frames > 1:
        caption = f"{caption} · {instance.frames} frames".strip(" ·")
    return Thumbnail(png, caption, shown(instance.file), instance.photometric == "MONOCHROME1")


def displayed(file: Path) -> Image:
    """Read an image as viewers show it, by its window: its values are from 0 to 1.

    Raises:
        ImageRefused: it cannot be read.
    """
    try:
        return read_image(file, voi=True)
    except ImageRefused as refused:
        if refused.reason != "window":
            raise
    image = read_image(file)  # its window says nonsense: its own range stands for it
    low, high = image.pixels.min(), image.pixels.max()
    values = (image.pixels - low) / (high - low) if high > low else np.zeros_like(image.pixels)
    return replace(image, pixels=values)


def _spread(instances: list[Instance], words: dict[str, str]) -> list[Instance]:
    """Choose images of different labels, patients and places in their series, the same ones every time."""
    usable = [i for i in instances if i.size_bytes <= LARGEST_THUMBNAIL_BYTES and i.likeness] or instances[:1]
    by_label: dict[str, list[Instance]] = defaultdict(list)
    for instance in usable:
        by_label[words.get(instance.file, "")].append(instance)
    chosen: list[Instance] = []
    share = max(1, THUMBNAILS_A_SCANNER // len(by_label))
    for _, group in sorted(by_label.items()):
        steps = np.linspace(0, len(group) - 1, min(share, len(group)) * 2 + 1)[1::2]  # the middles of equal parts
        chosen += [group[round(step)] for step in steps.tolist()]
    return list(dict.fromkeys(chosen))[:THUMBNAILS_A_SCANNER]


def shades_of(pixels: Values) -> Shades:
    """Return what is shown of pixels from 0 to 1: (height, width) or (height, width, 3), of several slices the middle.

    ``pixels``: (channels, height, width) or (channels, depth, height, width).
    """
    if pixels.ndim == 4:
        pixels = pixels[:, pixels.shape[1] // 2]
    shades = (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return shades[0] if len(shades) == 1 else np.moveaxis(shades, 0, -1)


def squared(height: int, width: int, sides: tuple[float, float], longer: int) -> tuple[int, int]:
    """Return how high and wide a picture of an image is whose own pixels are square.

    ``sides``: height and width of the image's pixels. ``longer``: of the picture's sides, in its pixels.
    """
    high, wide = height * sides[0], width * sides[1]
    times = longer / max(high, wide)
    return max(1, round(high * times)), max(1, round(wide * times))


def _png(image: Image) -> str:
    """Draw an image as it hangs, with square pixels, and no larger than it is."""
    shades = shades_of(image.hanging.turn.of(image.pixels))
    height, width = shades.shape[:2]
    high, wide = squared(height, width, image.hanging.hung_sides, min(THUMBNAIL_PIXELS, max(height, width)))
    picture = Pillow.fromarray(shades).resize((wide, high), Pillow.Resampling.BICUBIC, reducing_gap=2.0)
    return base64_of(picture)
