"""A study of findings from its template to those of a new image, on hospitals that know some of them only."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from test_run import run

from typed import command
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.phantoms.scanner import SCANNERS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


def test_findings_are_learnt_together_and_told_for_a_new_image(tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    make_hospitals(hospitals, seed=4, hospitals=2, patients=70)
    own = {
        "data": {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 32},
        "training": {"rounds": 5, "learning_rate": 0.001},
        "aggregation": {"min_hospitals": 2},
        "evaluation": {"test": 0.3, "subgroups": [{"by": "manufacturer", "values": ["Scanner A", "Scanner B"]}]},
    }
    results: Results = run(
        parse_study(study_text("findings", task="findings", dp=False, own=own)),
        hospitals,
        tmp_path / "state",
        tmp_path / "run",
    )
    whole = results.evaluation[FEDERATED][ALL]
    mass, calcification = whole.by_group
    assert (mass.figures["auroc"] or 0) > 0.5
    assert mass.records + (mass.rest or 0) == whole.images
    assert calcification.records + (calcification.rest or 0) < whole.images  # of some it is unknown
    assert isinstance(whole.threshold, tuple)
    assert results.subgroups[0].cells
    page = (tmp_path / "run/report.html").read_text()
    assert "The federated model on each finding." in page
    assert "Each finding is decided by itself" in page

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    table = hospitals / "hospital-a" / "labels.csv"
    files = {row["label"]: row["file"] for row in csv.DictReader(table.read_text().splitlines())}
    image = hospitals / "hospital-a" / files["finding"]
    command("predict", tmp_path / "model", image, "--out", tmp_path / "told", "--dicom", "--preview")
    told = json.loads((tmp_path / "told" / "predictions.jsonl").read_text())
    assert list(told["findings"]) == ["mass", "calcification"]
    maps = tmp_path / "maps"
    command(
        "explain", tmp_path / "model", image, "--of", "calcification", "--method", "hires-cam", "--dicom", "--out", maps
    )
    assert '"explained": "calcification"' in (maps / "explanations.jsonl").read_text()
    shown = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b")
    assert "Decided at the operating points of the run: mass" in shown
