"""A study of made images from its template to images that are drawn from its model, over secure sums."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_run import model, run

from wardround_common.results import ALL, FEDERATED
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.phantoms.scanner import SCANNERS

pytestmark = pytest.mark.slow


def of(*, distributed: bool = False, dp: bool = True) -> Study:
    own = {
        "data": {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 16},
        "task": {"classes": ["normal", "finding"]},
        "training": {"rounds": 2},
        "aggregation": {"min_hospitals": 3},
    }
    if dp:
        own["privacy"] = {"delta": 1e-3}
    return parse_study(study_text("made", task="generation", dp=dp, distributed=distributed, own=own))


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "hospitals"
    make_hospitals(folder, seed=4, hospitals=3, patients=24)
    return folder


@pytest.mark.parametrize("mechanism", ["plain", "local", "shared"])
def test_images_are_learnt_together_and_the_same_seed_gives_the_same_model(
    hospitals: Path, tmp_path: Path, mechanism: str
) -> None:
    study = of(dp=mechanism != "plain", distributed=mechanism == "shared")
    results = [run(study, hospitals, tmp_path / "state", tmp_path / place) for place in ("one", "other")]
    assert model(tmp_path / "one") == model(tmp_path / "other")
    whole = results[0].evaluation[FEDERATED][ALL]
    error = whole.metrics["reconstruction"]
    assert error.value is not None
    assert error.low is not None
    assert 0 < error.low < error.value < 0.5
    page = (tmp_path / "one/report.html").read_text()
    assert "Divergence from the prior" in page
    assert "reconstruction error" in page
