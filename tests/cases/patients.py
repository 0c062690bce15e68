"""Who is a patient: never guessed in silence, and a contradiction is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cases.case import Case, counted, listed, of, row_of, scan
from examples import DP, study
from tiny_dicom import RAMP, save, tiny
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_common.errors import PrivacyError

CLASSES = ("none", "finding")


def pictures(here: Path, *files: str) -> None:
    """Write pictures, which name no patient."""
    rng = np.random.default_rng(0)
    for file in files:
        path = here / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 24), dtype=np.uint8)).save(path)


def breasts(people: int) -> tuple[str, ...]:
    return tuple(f"{person:04}_{side}/pre.png" for person in range(people) for side in ("left", "right"))


def table(here: Path, *lines: str) -> None:
    (here / "images" / "labels.csv").write_text("\n".join(lines) + "\n")


def dicom(here: Path, *attributes: dict[str, str]) -> None:
    for number, each in enumerate(attributes):
        made = tiny(RAMP + number, **({"PatientName": ""} | each))
        save(made, here / "images" / f"{number}.dcm")


def patients(here: Path) -> str:
    """Scan, and return what the screen says of patients."""
    done = scan(here)
    return f"{row_of(done, 'Accepted').partition(', ')[0]}: {row_of(done, 'Patients')}"


def private(here: Path) -> str:
    """Prepare the images for a study with differential privacy."""
    of_study = study(data={"modalities": ["OTHER"], "image_size": 16}, privacy=DP)
    source = Source(here / "images", here / "state")
    try:
        data = prepare(source, of_study, *take_in(source, of_study))
    except PrivacyError as error:
        return f"refused: {error.what}"
    return f"taken: {data.intake.patients['table']} patients by the table"


def a_folder_a_breast(here: Path) -> str:
    pictures(here, *breasts(3))
    return patients(here)


def a_guess_with_privacy(here: Path) -> str:
    pictures(here, *breasts(20))
    table(here, "file,label", *(f"{file},{CLASSES[int(file[:4]) % 2]}" for file in breasts(20)))
    return private(here)


def a_table_with_privacy(here: Path) -> str:
    pictures(here, *breasts(20))
    rows = (f"{file},{CLASSES[int(file[:4]) % 2]},person{file[:4]}" for file in breasts(20))
    table(here, "file,label,patient", *rows)
    return private(here)


def subjects(here: Path) -> str:
    pictures(here, *(f"sub-0{person}/{kind}/1.png" for person in (1, 2) for kind in ("anat", "perf")))
    return patients(here)


def anonymous(here: Path) -> str:
    dicom(here, *({"PatientID": "ANONYMOUS"} for _ in range(3)))
    return patients(here)


def issuers(here: Path) -> str:
    dicom(here, *({"PatientID": "17", "IssuerOfPatientID": issuer} for issuer in ("North", "South")))
    return patients(here)


def one_study(here: Path) -> str:
    dicom(here, *({"PatientID": f"P{number}", "StudyInstanceUID": "1.2.3"} for number in range(3)))
    return patients(here)


def one_image(here: Path) -> str:
    dicom(here, *({"PatientID": f"P{number}", "SOPInstanceUID": "1.2.3.4"} for number in range(2)))
    found = counted(here)
    return f"{of(found['accepted'], 'image')}, refused: {listed(found['refused'])}"


CASES = (
    Case(
        "three people, a folder for each breast, nobody named",
        "6 images of 6 patients; 6 by folder; called like another one but for a side",
        a_folder_a_breast,
    ),
    Case(
        "twenty such people in a study with differential privacy",
        "refused: 40 of 40 patients are guessed",
        a_guess_with_privacy,
    ),
    Case(
        "the same, with a column 'patient' in labels.csv",
        "taken: 20 patients by the table",
        a_table_with_privacy,
    ),
    Case("sub-01/anat, sub-01/perf, sub-02/anat, sub-02/perf", "4 images of 2 patients; 2 by BIDS subject", subjects),
    Case(
        "three studies, all of a patient called ANONYMOUS", "3 images of 3 patients; 3 by StudyInstanceUID", anonymous
    ),
    Case("the number 17 from two issuers", "2 images of 2 patients; by PatientID", issuers),
    Case(
        "one StudyInstanceUID under three patients",
        "3 images of 1 patient; one StudyInstanceUID stands under several patients",
        one_study,
    ),
    Case("one SOPInstanceUID twice, under two patients", "1 image, refused: 1 same-instance", one_image),
)
