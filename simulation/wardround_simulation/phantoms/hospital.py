"""Folders of synthetic hospitals: patients, series, DICOM files and the CSV of labels."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np

from wardround_simulation.phantoms.anatomy import Patient, box_of_mass, draw_patient, posed, render
from wardround_simulation.phantoms.scanner import SCANNERS, Scanner, detector, expose, instance

CLASSES = ("normal", "finding")
MASS = "mass"
"""The class of the boxes."""
HAZARD = {False: 0.04, True: 0.8}
"""Events a year of a patient without and with the finding, at all times: made up, and known to tests."""
LONGEST_YEARS = 6.0
"""Until which somebody is followed at most; it is drawn evenly from 0."""
UNKNOWN = 0.2
"""Of how many patients the table does not say whether there are calcifications."""


def make_hospitals(
    folder: Path, *, seed: int, hospitals: int = 4, patients: int = 400, images_per_patient: int = 1
) -> None:
    """Write ``hospital-a``, ``hospital-b`` and so on below ``folder``, each with a scanner of its own.

    The same arguments give the same bytes, with the same versions of NumPy, pydicom and the codecs.

    Args:
        folder: made where it does not exist.
        seed: of everything that is drawn.
        hospitals: at most as many as there are ``SCANNERS``.
        patients: patients of each hospital.
        images_per_patient: every patient has from one to this many images.
    """
    if not 1 <= hospitals <= len(SCANNERS):
        raise ValueError(f"hospitals must be 1 to {len(SCANNERS)}, one for each scanner")
    for scanner in SCANNERS[:hospitals]:
        place = folder / f"hospital-{scanner.name.lower()}"
        make_hospital(place, scanner, seed=seed, patients=patients, images_per_patient=images_per_patient)


def make_hospital(
    folder: Path, scanner: Scanner, *, seed: int, patients: int = 400, images_per_patient: int = 1
) -> None:
    """Write one hospital: ``PATIENT/series-1/1.dcm`` files and ``labels.csv``, with columns for each task on images.

    ``boxes.csv`` has a box around the mass of each image with a finding, and a line without one for each other image.

    Time is in years: to an event, or to when the patient was last seen without one. Both depend on the label alone.
    The findings are ``mass``, which is the label, and ``calcification``, which is unknown of one patient in five;
    ``gland`` is what glandular tissue adds to the density, in per cent.
    A patient's images depend on seed, scanner, the patient's number and label, not on how many patients there are.
    """
    if patients < 2:
        raise ValueError("a hospital needs at least two patients, one of each class")
    findings = min(max(round(scanner.prevalence * patients), 1), patients - 1)
    has_finding = np.arange(patients) < findings
    _generator(seed, scanner).shuffle(has_finding)

    x, y = detector(scanner)
    lines: list[tuple[str, ...]] = []
    boxes: list[tuple[str, ...]] = []
    for number in range(patients):
        rng = _generator(seed, scanner, number)
        pseudonym = f"{scanner.name}-{_digest(seed, scanner, number).hex()[:10]}"
        finding = bool(has_finding[number])
        seen = _seen(_generator(seed, scanner, number, 1), finding=finding)
        patient = draw_patient(rng, has_finding=finding)
        gland = f"{100 * patient.gland:.2f}"
        found = _found(_generator(seed, scanner, number, 2), patient)
        series = folder / pseudonym / "series-1"
        series.mkdir(parents=True, exist_ok=True)
        for image in range(1, int(rng.integers(1, images_per_patient + 1)) + 1):
            place = posed(rng, x, y)
            values = expose(scanner, render(patient, *place), rng)
            file = series / f"{image}.dcm"
            dataset = instance(scanner, values, patient=pseudonym, series=1, number=image, seed=seed)
            dataset.save_as(file, enforce_file_format=True)
            name, box = file.relative_to(folder).as_posix(), box_of_mass(patient, *place)
            lines.append((name, pseudonym, CLASSES[finding], *seen, *found, gland))
            boxes.append((name, *map(str, box), MASS) if box else (name, "", "", "", "", ""))
    _write(
        folder / "labels.csv", ("file", "patient", "label", "time", "event", "mass", "calcification", "gland"), lines
    )
    _write(folder / "boxes.csv", ("file", "x0", "y0", "x1", "y1", "class"), boxes)


def _write(path: Path, header: tuple[str, ...], lines: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(sorted(lines))


def _seen(rng: np.random.Generator, *, finding: bool) -> tuple[str, str]:
    """Draw what is seen of a patient: years, and 1 for an event or 0."""
    came, left = rng.exponential(1 / HAZARD[finding]), rng.uniform(0, LONGEST_YEARS)
    return f"{min(came, left):.3f}", f"{int(came < left)}"


def _found(rng: np.random.Generator, patient: Patient) -> tuple[str, str]:
    """Say of a patient 1 or 0 for a mass and for calcifications; of these nobody wrote anything of one in five."""
    looked = rng.uniform() >= UNKNOWN
    return f"{int(patient.has_finding)}", f"{int(len(patient.calcifications) > 0)}" if looked else ""


def _digest(seed: int, scanner: Scanner, *numbers: int) -> bytes:
    words = ":".join(("wardround phantom", str(seed), scanner.name, *map(str, numbers)))
    return hashlib.sha256(words.encode()).digest()


def _generator(seed: int, scanner: Scanner, *numbers: int) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(_digest(seed, scanner, *numbers)[:16]))
