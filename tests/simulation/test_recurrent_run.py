"""Patients whose label is in the order of their examinations: read in that order it is learnt, else it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_run import run

from tiny_dicom import tiny
from typed import command
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text

pytestmark = pytest.mark.slow
HOSPITALS, PATIENTS = 2, 40


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make patients with a spot of three sizes at three dates, which grows or shrinks: each size is there in both."""
    folder, rng = tmp_path_factory.mktemp("hospitals"), np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for number in range(HOSPITALS):
        site, lines = folder / f"hospital-{'ab'[number]}", ["patient,label"]
        site.mkdir()
        for patient in range(PATIENTS):
            name, grows = f"{'AB'[number]}{patient}", patient % 2 == 0
            centre = rng.uniform(6, 9, 2)
            for at, radius in enumerate((2.0, 3.5, 5.0) if grows else (5.0, 3.5, 2.0)):
                spot = np.hypot(rows - centre[0], columns - centre[1]) < radius
                pixels = (spot * 2000 + rng.integers(0, 500, (16, 16))).astype(np.uint16)
                made = tiny(pixels, PatientID=name, PatientName=name, StudyDate=f"{2014 + 2 * at}0102")
                made.save_as(site / f"{name}-{made.SOPInstanceUID[-6:]}.dcm", enforce_file_format=True)
            lines.append(f"{name},{'growing' if grows else 'shrinking'}")
        (site / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


def trained(
    hospitals: Path, state: Path, out: Path, pooling: str = "recurrent", **sections: dict[str, object]
) -> Results:
    """Train a study of these patients; ``sections`` have keys in the place of its own."""
    steps = {"rounds": 12, "batch_size": 8, "learning_rate": 0.005, "augmentations": []}
    own: dict[str, dict[str, object]] = {
        "task": {"classes": ["shrinking", "growing"]},
        "data": {"modalities": ["MR"], "image_size": 16, "record": "patient", "bag_size": 3, "intensity": "range"},
        "model": {"network": "tiny-cnn", "pooling": pooling},
        "training": steps,
        "aggregation": {"min_hospitals": 2, "secure": False},
        "evaluation": {"test": 0.4, "validation": 0.1, "every": 12, "keep": "last"},
    }
    privacy = sections.get("privacy", {})
    steps |= {} if privacy else {"server_momentum": 0.0}
    own = {name: {**table, **sections.get(name, {})} for name, table in {**own, "privacy": {}}.items()}
    text = study_text("order", dp=bool(privacy), distributed="sampling_rate" in privacy, own=own)
    return run(parse_study(text), hospitals, state, out)


def test_what_lies_in_the_order_of_a_patients_images_is_learnt_in_that_order_and_by_no_weighing(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    def auroc(results: Results) -> float:
        return results.evaluation[FEDERATED][ALL].metrics["auroc"].value or 0.0

    assert auroc(trained(hospitals, state, tmp_path / "run")) > 0.95
    assert auroc(trained(hospitals, state, tmp_path / "attention", "attention")) < 0.7
    together = "16 pixels, up to 3 of a patient together"
    assert f"{together}, read in their order" in (tmp_path / "run" / "report.html").read_text()
    assert f"{together}, intensity" in (tmp_path / "attention" / "report.html").read_text()

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    asked, told = tmp_path / "asked", tmp_path / "told"
    asked.mkdir()
    for patient in ("A0-", "A1-"):
        for file in (hospitals / "hospital-a").glob(f"{patient}*"):
            (asked / file.name).write_bytes(file.read_bytes())
    command("predict", tmp_path / "model", asked, "--out", told, "--dicom", "--preview")
    lines = [json.loads(line) for line in (told / "predictions.jsonl").read_text().splitlines()]
    assert {line["input"]: line["class"] for line in lines} == {"A0": "growing", "A1": "shrinking"}
    assert [(line["images"], "weights" in line) for line in lines] == [(3, False)] * 2
    assert "2014" not in (told / "predictions.jsonl").read_text()  # the date of an examination


@pytest.mark.parametrize("sampling_rate", [None, 0.5])
def test_patients_are_read_in_order_under_local_and_under_shared_noise_with_secure_sums(
    sampling_rate: float | None, hospitals: Path, state: Path, tmp_path: Path
) -> None:
    shared = {"sampling_rate": sampling_rate, "dropouts": 0, "colluders": 1} if sampling_rate else {}
    results = trained(
        hospitals,
        state,
        tmp_path / "run",
        privacy={"delta": 1e-3, **shared},
        training={"rounds": 2, "batch_size": 20},
        aggregation={"secure": True},
        evaluation={"every": 2},
    )
    assert 0 < max(results.rounds[-1].epsilons.values()) <= 8
