"""A study of a number from its template to that of a new image, over secure sums."""

from __future__ import annotations

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


def test_a_number_is_learnt_together_and_told_in_its_unit(tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    make_hospitals(hospitals, seed=4, hospitals=2, patients=60)
    own = {
        "data": {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 32},
        "training": {"rounds": 3, "learning_rate": 0.001},
        "aggregation": {"min_hospitals": 2},
        "evaluation": {"test": 0.3, "subgroups": [{"by": "manufacturer", "values": ["Scanner A", "Scanner B"]}]},
    }
    of = parse_study(study_text("gland", task="measurement", dp=False, own=own))
    results = run(of, hospitals, tmp_path / "state", tmp_path / "run")
    whole = results.evaluation[FEDERATED][ALL]
    error = whole.metrics["mae"]
    assert error.value is not None
    assert error.low is not None
    assert 0 < error.low < error.value < 5  # per cent; values lie between 8 and 16
    assert sum(group.records for group in whole.by_group) == whole.images
    assert results.subgroups[0].cells
    page = (tmp_path / "run/report.html").read_text()
    assert "The federated model on each quarter of the range." in page
    assert "The model never tells a value of “16.25 to 20 %”" not in page  # nobody has one
    assert "Of all test patients together it tells a value in the right quarter of the range for " in page
    assert re.search(r"its mean absolute error is \d\.\d{3} % on average over the hospitals \(0 is perfect\)", page)
    assert "measurement: tell the gland in %, between 5 and 20" in page
    assert re.search(r"5 to 8.75 %: \d+ · 8.75 to 12.5 %: \d+", page)

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    image = next((hospitals / "hospital-a").rglob("*.dcm"))
    command("predict", tmp_path / "model", image, "--out", tmp_path / "told", "--dicom", "--preview")
    told = json.loads((tmp_path / "told" / "predictions.jsonl").read_text())
    assert (told["measurement"], told["unit"]) == ("gland", "%")
    with pytest.raises(StudyError, match="tells a number"):
        class_number(open_model(tmp_path / "model"), None)
    shown = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b")
    assert re.search(r"Mean absolute error \(%\) +\d\.\d{3}", shown)
    assert re.search(r'<th scope="col"[^>]*>Mean absolute error \(%\)</th>', page)
