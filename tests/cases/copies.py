"""Copies: found in ultrasound too, outside a series, and never on both sides of the split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cases.case import Case, counted, of
from examples import study
from made_ultrasound import COPIES, ultrasound
from tiny_dicom import save, tiny
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_simulation.federation import Federation, Site
from wardround_simulation.jobs import shared_images

US = {"modalities": ["US"], "image_size": 16}


def patients(folder: Path, pictures: Sequence[NDArray[Any]], labels: Sequence[str] = ()) -> None:
    """Write one picture a patient."""
    for number, pixels in enumerate(pictures):
        made = tiny(pixels, PatientID=f"P{number}", PatientName="", Modality="US")
        save(made, folder / f"{number}.dcm")
    if labels:
        rows = [f"{number}.dcm,{label}" for number, label in enumerate(labels)]
        (folder / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")


def pairs(here: Path) -> str:
    found = counted(here)
    said = f"{of(found['duplicates'], 'pair')}, {found['duplicates_between_patients']} between patients"
    return f"{said}, labels disagree in {found['contradictions']}" if found["contradictions"] else said


def a_copy(here: Path) -> str:
    image = ultrasound(3)  # scanned with little gain, where a difference of brightness says little
    patients(here / "images", [image, ultrasound(1), COPIES["noise of 4 % of the range"](image)])
    return pairs(here)


def different(here: Path) -> str:
    patients(here / "images", [ultrasound(number) for number in range(6)])
    return pairs(here)


def a_series(here: Path) -> str:
    rng = np.random.default_rng(0)
    body = rng.integers(0, 4000, (32, 32)).astype(float)
    for number in range(12):
        pixels = (body + number * rng.normal(0, 20, body.shape)).clip(0).astype(np.uint16)
        save(tiny(pixels, SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2"), here / "images" / f"{number}.dcm")
    return pairs(here)


def opposite_labels(here: Path) -> str:
    image = ultrasound(0)
    pictures = [image, ultrasound(1), COPIES["JPEG, quality 50"](image)]
    patients(here / "images", pictures, ["none", "none", "finding"])
    return pairs(here)


def noise(count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (32, 32), dtype=np.uint8) for _ in range(count)]


def the_split(here: Path) -> str:
    pictures, labels = noise(20), ["none", "finding"] * 10
    patients(here / "images", [*pictures, *pictures[:4]], [*labels, *labels[:4]])
    source, of_study = Source(here / "images", here / "state"), study(data=US)
    intake = prepare(source, of_study, *take_in(source, of_study)).intake
    return f"{intake.joined_patients} patients kept with another, {intake.duplicates_across_splits} pairs on two sides"


def two_hospitals(here: Path) -> str:
    sites = []
    for name, pictures in (("north", noise(4)), ("south", noise(3))):
        patients(here / name, pictures, ["none", "finding", "none", "finding"][: len(pictures)])
        sites.append(Site(name, (Source(here / name, here / f"state-{name}"),)))
    found = shared_images(Federation(study(data=US), tuple(sites)), ["north", "south"])
    return ", ".join(f"{one} and {other} share {of(shared.pairs, 'pair')}" for (one, other), shared in found.items())


CASES = (
    Case("ultrasound with little gain, and with noise under another name", "1 pair, 1 between patients", a_copy),
    Case("ultrasound of six patients by one machine", "0 pairs", different),
    Case("twelve neighbouring slices of one series", "0 pairs", a_series),
    Case(
        "one picture under two patients with opposite labels",
        "1 pair, 1 between patients, labels disagree in 1",
        opposite_labels,
    ),
    Case(
        "24 patients, of whom four have the picture of another",
        "8 patients kept with another, 0 pairs on two sides",
        the_split,
    ),
    Case("two hospitals of a simulation with three pictures in common", "north and south share 3 pairs", two_hospitals),
)
