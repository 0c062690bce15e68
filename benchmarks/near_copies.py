"""What near-copies the scan finds, and which different patients it takes for one, on made ultrasound.

Run with ``make bench-near-copies``; needs no data. ``tests/made_ultrasound.py`` makes the images: 600 patients of three
machines, and of 200 of them twelve near-copies each. With a folder of DICOM named on the command line, the pairs of
different patients there are counted too, and copies made of 200 of its images.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from made_ultrasound import COPIES, ultrasound
from measure import report
from wardround_client.images import read_image
from wardround_client.intake.duplicates import CELLS, likeness, near_pairs
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Instance

PATIENTS, COPIED, TIMED = 600, 200, 10_000
MEANINGS = {
    "recall": "part of the near-copies that are found",
    "recall_of_the_worst_kind": "the same, of the kind of copy that is found least",
    "false_pairs": "pairs of different patients that are taken for copies",
    "pairs_of_different_patients": "pairs of different patients that were compared",
    "cpu_seconds_for_10000_images": "processor seconds, all threads together, to compare 10,000 images",
    "recall_on_folder": "part of the near-copies of the folder's images that are found",
    "false_pairs_on_folder": "pairs of different patients of the folder that are taken for copies",
    "pairs_on_folder": "pairs of different patients of the folder that were compared",
}


def image(file: str, patient: str, hashed: str) -> Instance:
    """Describe an image of which only the likeness matters."""
    return Instance(file, patient, "", "", "", "US", "", "", "", "", "8/8", 1, 1, 1, None, 1, "", hashed)


def recall(originals: Sequence[NDArray[Any]]) -> dict[str, float]:
    """Return by kind which part of the copies of these images is found."""
    known = [image("original", str(number), likeness(one)) for number, one in enumerate(originals)]
    return {
        kind: sum(
            bool(near_pairs([known[number], image("copy", "copy", likeness(change(one)))], (0, 1)))
            for number, one in enumerate(originals)
        )
        / len(originals)
        for kind, change in COPIES.items()
    }


def main(folder: Path | None) -> None:
    """Measure, print the table and write the figures."""
    made = [ultrasound(patient, patient % 3) for patient in range(PATIENTS)]
    found = recall(made[:COPIED])
    for kind, part in found.items():
        print(f"{kind:<28} {part:.3f}")
    images = [image(str(number), str(number), likeness(one)) for number, one in enumerate(made)]
    rng = np.random.default_rng(0)
    many = [
        image(str(number), str(number), base64.b64encode(rng.integers(-127, 128, CELLS, np.int8).tobytes()).decode())
        for number in range(TIMED)
    ]
    began = time.process_time()
    near_pairs(many, range(TIMED))
    spent_s = time.process_time() - began
    figures = {
        "recall": sum(found.values()) / len(found),
        "recall_of_the_worst_kind": min(found.values()),
        "false_pairs": float(len(near_pairs(images, range(PATIENTS)))),
        "pairs_of_different_patients": PATIENTS * (PATIENTS - 1) / 2,
        "cpu_seconds_for_10000_images": spent_s,
    }
    report("near_copies", figures | (on_folder(folder) if folder else {}), MEANINGS)


def on_folder(folder: Path) -> dict[str, float]:
    """Count what is taken for a copy among the images of a folder, and what is found of copies made of them."""
    with tempfile.TemporaryDirectory() as state:
        there = [i for i in scan(folder, state=Path(state)).accepted if i.likeness]
    patients = [instance.patient for instance in there]
    same = sum(count * (count - 1) / 2 for count in (patients.count(name) for name in set(patients)))
    pixels = [read_image(folder / i.file).pixels[0] for i in there[:: max(1, len(there) // COPIED)]]
    shades = [((p - p.min()) / np.ptp(p) * 255).astype(np.uint8) for p in pixels]
    found = recall(shades)
    for kind, part in found.items():
        print(f"{kind:<28} {part:.3f} (folder)")
    return {
        "recall_on_folder": sum(found.values()) / len(found),
        "false_pairs_on_folder": float(len(near_pairs(there, patients))),
        "pairs_on_folder": len(there) * (len(there) - 1) / 2 - same,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
