"""A study of boxes from its template to boxes in new images, plain, in secure sums and with privacy by patient."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_run import run

from examples import DP
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_simulation.phantoms import MASS, SCANNERS, make_hospitals

pytestmark = pytest.mark.slow

MODALITIES = sorted({scanner.modality for scanner in SCANNERS})


def masses(**sections: dict[str, Any]) -> Study:
    own: dict[str, dict[str, Any]] = {
        "task": {"classes": [MASS]},
        "data": {"modalities": MODALITIES, "image_size": 32},
        "training": {"rounds": 15, "learning_rate": 0.004, **sections.pop("training", {})},
        "aggregation": {"min_hospitals": 2, "secure": False},
        "evaluation": {"every": 5},
    }
    return parse_study(study_text("masses", task="detection", dp=False, own=own | sections))


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masses") / "hospitals"
    make_hospitals(folder, seed=4, hospitals=2, patients=60)
    return folder


@pytest.fixture(scope="module")
def plain(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    out = tmp_path_factory.mktemp("plain")
    return run(masses(), hospitals, out / "state", out / "run"), out


def test_boxes_are_learnt_together_and_drawn_in_new_images(
    plain: tuple[Results, Path], hospitals: Path, tmp_path: Path
) -> None:
    results, out = plain
    found = results.evaluation[FEDERATED][ALL]
    assert (found.value("ap_iou10") or 0) > 0.4
    assert found.metrics["ap_iou10"].low is not None
    page = (out / "run/report.html").read_text()
    assert "AP at IoU 0.1" in page
    assert "no more than one false positive an image" in page

    def command(*words: str | Path) -> str:
        done = CliRunner().invoke(wardround, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    command("export", out / "run", "--out", tmp_path / "model")
    table = list(csv.DictReader((hospitals / "hospital-a/boxes.csv").read_text().splitlines()))
    command("predict", tmp_path / "model", hospitals / "hospital-a", "--out", tmp_path / "told", "--preview")
    lines = [json.loads(line) for line in (tmp_path / "told/predictions.jsonl").read_text().splitlines()]
    told = {line["input"].split("hospital-a/")[1]: line for line in lines}
    assert set(told) == {row["file"] for row in table}
    inside = [  # the middle of the most confident box lies in the lesion, in pixels of the stored image
        float(row["x0"]) < (box["x0"] + box["x1"]) / 2 < float(row["x1"])
        and float(row["y0"]) < (box["y0"] + box["y1"]) / 2 < float(row["y1"])
        for row in table
        if row["class"]
        for box in told[row["file"]]["boxes"][:1]
    ]
    assert sum(inside) > 0.5 * sum(bool(row["class"]) for row in table)
    assert len(list((tmp_path / "told").glob("*.png"))) == len(table)
    assert all(box["width_mm"] > 0 for line in lines for box in line["boxes"])
    judged = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b", "--json")
    assert json.loads(judged)["metrics"]["ap_iou10"]["value"] > 0.3


def test_secure_sums_give_the_figures_of_plain_ones(
    plain: tuple[Results, Path], hospitals: Path, tmp_path: Path
) -> None:
    secure = masses(aggregation={"min_hospitals": 2, "secure": True}, training={"rounds": 2}, evaluation={"every": 2})
    open_ = masses(training={"rounds": 2}, evaluation={"every": 2})
    state = plain[1] / "state"
    a, b = (
        run(of, hospitals, state, tmp_path / name).evaluation[FEDERATED][ALL].value("ap_iou10")
        for name, of in (("open", open_), ("secure", secure))
    )
    assert a == pytest.approx(b, abs=0.02)  # weights are rounded in a secure sum


def test_boxes_are_learnt_with_privacy_by_patient(plain: tuple[Results, Path], hospitals: Path, tmp_path: Path) -> None:
    of = masses(privacy=DP, training={"rounds": 1, "optimiser": "sgd", "augmentations": ["flip", "rotate"]})
    results = run(of, hospitals, plain[1] / "state", tmp_path / "run")
    assert all(one.privacy is not None and one.privacy.epsilon <= 8 for one in results.hospitals)
    assert results.evaluation[FEDERATED][ALL].value("ap_iou10") is not None
