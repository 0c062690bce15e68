"""A study of ordered grades of patients, from its template to a new one, with noise shared out under secure sums."""

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


def test_grades_of_patients_are_learnt_under_shared_noise_and_told(tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    make_hospitals(hospitals, seed=4, hospitals=3, patients=24, images_per_patient=2)
    for hospital in hospitals.iterdir():
        rows = list(csv.DictReader((hospital / "labels.csv").read_text().splitlines()))
        grades = {row["patient"]: sum(float(row["gland"]) > edge for edge in (10, 12, 14)) for row in rows}
        lines = ["patient,label", *(f"{patient},{grade}" for patient, grade in grades.items())]
        (hospital / "labels.csv").write_text("\n".join(lines) + "\n")
    own = {
        "data": {
            "modalities": sorted({scanner.modality for scanner in SCANNERS}),
            "image_size": 32,
            "record": "patient",
            "bag_size": 2,
        },
        "training": {"rounds": 2},
        "privacy": {"delta": 1e-3, "evaluation_epsilon": 4.0},
        "evaluation": {"test": 0.3, "validation": 0.2},
    }
    text = study_text("grades", task="grades", distributed=True, own=own)
    of = parse_study(re.sub(r"(?m)^usual = .*$", "", text))  # sums of features have no noise
    results = run(of, hospitals, tmp_path / "state", tmp_path / "run")
    (noise,) = [note for note in results.notes if "counts with noise" in note]
    assert "it moves weighted kappa by" in noise
    assert "operating point" not in noise  # grades have none
    whole = results.evaluation[FEDERATED][ALL]
    assert len(whole.confusion) == len(whole.by_group) == 4
    assert sum(map(sum, whole.confusion)) == whole.images == whole.patients
    page = (tmp_path / "run/report.html").read_text()
    assert "It decides for the highest grade that is more likely reached than not." in page

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    command("predict", tmp_path / "model", hospitals / "hospital-a", "--out", tmp_path / "told")
    lines = [json.loads(line) for line in (tmp_path / "told" / "predictions.jsonl").read_text().splitlines()]
    assert {line["input"] for line in lines} == {line["patient"] for line in lines}
    assert all(sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5) for line in lines)
    with pytest.raises(StudyError, match="maps are of single images"):
        class_number(open_model(tmp_path / "model"), None)
