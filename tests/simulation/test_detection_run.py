"""A study of boxes from its template to boxes in new images, plain, in secure sums and with privacy by patient."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom import Dataset, dcmread
from test_run import run

from examples import DP
from outlined_hospitals import PIXEL_MM, outlining, write_hospitals
from typed import command
from wardround_client.prediction.answers import predict as wr_predict
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
        "training": {"rounds": 12, "learning_rate": 0.004, **sections.pop("training", {})},
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

    command("export", out / "run", "--out", tmp_path / "model")
    table = list(csv.DictReader((hospitals / "hospital-a/boxes.csv").read_text().splitlines()))
    command("predict", tmp_path / "model", hospitals / "hospital-a", "--out", tmp_path / "told")
    image = hospitals / "hospital-a" / table[0]["file"]
    command("predict", tmp_path / "model", image, "--out", tmp_path / "drawn", "--preview", "--dicom")
    (report,) = (dcmread(path) for path in (tmp_path / "drawn").glob("*.report.dcm"))
    drawn = json.loads((tmp_path / "drawn/predictions.jsonl").read_text())["boxes"]
    lines = [list(item.GraphicData) for item in _all(report) if "GraphicData" in item]
    numbers = range(3)  # confidence, width and height of a box, each along its edge
    corners = [[box[side] for side in ("x0", "y0", "x1", "y0", "x1", "y1")] for box in drawn for _ in numbers]
    assert len(lines) == max(len(corners), 1)
    assert all(line[:6] == pytest.approx(box, abs=1e-3) for line, box in zip(lines, corners, strict=bool(drawn)))
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 1
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
    assert all(box["width_mm"] > 0 for line in lines for box in line["boxes"])
    judged = command("evaluate", tmp_path / "model", hospitals / "hospital-b", "--state", tmp_path / "b", "--json")
    assert json.loads(judged)["metrics"]["ap_iou10"]["value"] > 0.3


def _all(item: Dataset) -> Iterator[Dataset]:
    yield item
    for each in item.get("ContentSequence", []):
        yield from _all(each)


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


def test_boxes_around_masks_are_drawn_in_slices_where_they_lie_in_the_patient(tmp_path: Path) -> None:
    write_hospitals(tmp_path / "hospitals")
    tables = outlining(aggregation={"min_hospitals": 3, "secure": True}, training={"rounds": 2}).tables(nulls=False)
    of = Study.model_validate(tables | {"task": {"name": "detection", "classes": ["tumour"], "boxes": "masks"}})
    results = run(of, tmp_path / "hospitals", tmp_path / "state", tmp_path / "run")
    assert results.evaluation[FEDERATED][ALL].value("ap_iou10") is not None
    done = CliRunner().invoke(wardround, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "model")])
    assert done.exit_code == 0, done.output
    images, out = tmp_path / "hospitals" / "south", tmp_path / "told"
    told = wr_predict(tmp_path / "model", images, out=out, preview=True, dicom="BINARY")
    assert told.refused == 0
    assert len(list((tmp_path / "told").glob("*.report.dcm"))) == len(told.lines)
    boxes = [box for line in told.lines for box in line["boxes"]]
    assert boxes
    for box in boxes:
        assert 1 <= box["slice"] <= 4
        assert box["width_mm"] == pytest.approx((box["x1"] - box["x0"]) * PIXEL_MM, abs=0.3)
        assert len(box["centre_mm"]) == 3
    assert len(list((tmp_path / "told").glob("*.png"))) == len(told.lines)
