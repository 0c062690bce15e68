"""A study of patients, each one record of all images, from its template to what each image of a new one weighs."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from test_run import run

from typed import command
from wardround_client.explanation.explaining import class_number
from wardround_client.prediction.model import open_model
from wardround_common.errors import StudyError
from wardround_common.results import ALL, FEDERATED
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.phantoms.scanner import SCANNERS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


def test_patients_are_learnt_privately_from_all_their_images_and_told_with_what_each_weighs(tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    make_hospitals(hospitals, seed=4, hospitals=2, patients=40, images_per_patient=3)
    own = {
        "task": {"classes": ["normal", "finding"]},
        "data": {
            "modalities": sorted({scanner.modality for scanner in SCANNERS}),
            "image_size": 32,
            "record": "patient",
            "bag_size": 2,
        },
        "training": {"rounds": 2, "augmentations": ["flip", "intensity"], "batch_size": 10},
        "privacy": {"delta": 1e-3},
        "aggregation": {"min_hospitals": 2},
        "evaluation": {"test": 0.3, "validation": 0.2},
    }
    of = parse_study(study_text("patients", dp=True, own=own))
    results = run(of, hospitals, tmp_path / "state", tmp_path / "run", baselines=True)
    whole = results.evaluation[FEDERATED][ALL]
    assert whole.images == whole.patients  # of a patient there is one record
    page = (tmp_path / "run/report.html").read_text()
    assert re.search(r"Of all test patients together it finds [\d,]+ of the [\d,]+ test patients of “", page)
    assert "Patients of each class; patients are split, never images" in page
    assert all(one.train is None or one.train.images == one.train.patients for one in results.hospitals)

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    rows = csv.DictReader((hospitals / "hospital-a" / "labels.csv").read_text().splitlines())
    patients = [row["patient"] for row in rows]
    several = next(patient for patient in patients if patients.count(patient) == 3)
    told = tmp_path / "told"
    command("predict", tmp_path / "model", hospitals / "hospital-a", "--out", told, "--dicom", "--preview")
    lines = [json.loads(line) for line in (told / "predictions.jsonl").read_text().splitlines()]
    assert {line["input"] for line in lines} == set(patients)
    (line,) = (line for line in lines if line["patient"] == several)
    assert (line["images"], line["images_left_out"], len(line["weights"])) == (2, 1, 2)
    assert sum(line["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert "sop_uid" not in line
    assert any(file.endswith(".report.dcm") for file in line["files"])
    with pytest.raises(StudyError, match="maps are of single images"):
        class_number(open_model(tmp_path / "model"), None)
    command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b")
