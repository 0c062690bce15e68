"""A study of risks from its template to the risk of a new image, on hospitals whose hazards are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from test_run import run

from typed import command
from wardround_client.explanation.explaining import class_number
from wardround_client.prediction.model import open_model
from wardround_common.errors import StudyError
from wardround_common.results import ALL, FEDERATED, POOLED, alone
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text
from wardround_server.report import summary
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.phantoms.hospital import HAZARD, LONGEST_YEARS
from wardround_simulation.phantoms.scanner import SCANNERS

pytestmark = pytest.mark.slow


def test_risks_are_learnt_together_and_told_for_a_new_image(tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    make_hospitals(hospitals, seed=4, hospitals=2, patients=150)
    own = {
        "data": {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 32},
        "training": {"rounds": 8, "learning_rate": 0.001},
        "aggregation": {"min_hospitals": 2},
        "evaluation": {"test": 0.3, "subgroups": [{"by": "manufacturer", "values": ["Scanner A", "Scanner B"]}]},
    }
    of = parse_study(study_text("risk", task="risk", dp=False, own=own))
    results = run(of, hospitals, tmp_path / "state", tmp_path / "run", baselines=True)
    assert set(results.evaluation) == {FEDERATED, POOLED, alone("hospital-a"), alone("hospital-b")}
    whole = results.evaluation[FEDERATED][ALL]
    index = whole.metrics["c_index"]
    assert index.value is not None
    assert index.low is not None
    assert index.low < index.value < (index.high or 0)
    assert index.value > 0.5
    assert [cell.value for cell in results.subgroups[0].cells] == ["Scanner A", "Scanner B"]

    # What is observed is what was made: a mixture of two hazards.
    share = np.mean([scanner.prevalence for scanner in SCANNERS[:2]])
    years = np.array([1.0, 2.0, 3.0, 5.0])
    made = 1 - sum(part * np.exp(-HAZARD[f] * years) for f, part in ((True, share), (False, 1 - share)))
    observed = [one.observed for one in whole.horizons]
    assert np.abs(np.array(observed, float) - made).max() < 0.15
    assert max(years) < LONGEST_YEARS

    console = Console(width=200, record=True)
    console.print(summary(results))
    said, page = console.export_text(), (tmp_path / "run/report.html").read_text()
    assert "tell how likely an event is by 1, 2, 3 and 5 years" in said
    assert "its C-index is" in said
    assert "by 5 years" in page

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    table = hospitals / "hospital-a" / "labels.csv"
    files = {row["label"]: row["file"] for row in csv.DictReader(table.read_text().splitlines())}
    image = hospitals / "hospital-a" / files["finding"]
    command("predict", tmp_path / "model", image, "--out", tmp_path / "told", "--dicom", "--preview")
    (line,) = (tmp_path / "told" / "predictions.jsonl").read_text().splitlines()
    told = json.loads(line)
    risks = list(told["risk"].values())
    assert list(told["risk"]) == ["1 year", "2 years", "3 years", "5 years"]
    assert risks == sorted(risks)
    with pytest.raises(StudyError, match="this model tells a risk by several times"):
        class_number(open_model(tmp_path / "model"), None)
    shown = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b")
    assert "By 5 years: mean risk 0." in shown
    judged = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b", "--json")
    assert json.loads(judged)["metrics"]["c_index"]["value"] > 0.5
