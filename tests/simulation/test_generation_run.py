"""A study of made images from its template to images that are drawn from its model and checked at a hospital."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_run import model, run

from typed import command
from wardround_client.generation.pairs import FIGURES
from wardround_client.generation.writing import HOSPITAL, STATEMENT
from wardround_common.results import ALL, FEDERATED
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.phantoms.scanner import SCANNERS

pytestmark = pytest.mark.slow


def of(*, distributed: bool = False, dp: bool = True, sampler: str = "prior") -> Study:
    own: dict[str, dict[str, object]] = {
        "data": {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 16},
        "task": {"classes": ["normal", "finding"], "sampler": sampler},
        "training": {"rounds": 2},
        "aggregation": {"min_hospitals": 3},
    }
    if dp:
        own["privacy"] = {"delta": 1e-3}
    return parse_study(study_text("made", task="generation", dp=dp, distributed=distributed, own=own))


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "hospitals"
    make_hospitals(folder, seed=4, hospitals=3, patients=40)
    return folder


@pytest.mark.parametrize(("mechanism", "sampler"), [("local", "prior"), ("shared", "prior"), ("shared", "diffusion")])
def test_the_same_seed_gives_the_same_model_with_a_hospitals_own_noise_and_with_shared_noise(
    hospitals: Path, tmp_path: Path, mechanism: str, sampler: str
) -> None:
    study = of(distributed=mechanism == "shared", sampler=sampler)
    for place in ("one", "other"):
        run(study, hospitals, tmp_path / "state", tmp_path / place)
    assert model(tmp_path / "one") == model(tmp_path / "other")


def test_images_are_learnt_together_drawn_with_their_cost_and_checked_at_a_hospital(
    hospitals: Path, tmp_path: Path
) -> None:
    results = run(of(dp=False), hospitals, tmp_path / "state", tmp_path / "run")
    error = results.evaluation[FEDERATED][ALL].metrics["reconstruction"]
    assert error.value is not None
    assert error.low is not None
    assert 0 < error.low < error.value < 0.5
    page = (tmp_path / "run/report.html").read_text()
    assert "Divergence from the prior" in page
    assert "its reconstruction error is" in page

    command("export", tmp_path / "run", "--out", tmp_path / "model")
    said = command("generate", tmp_path / "model", "--count", "12", "--out", tmp_path / "made")
    assert "there is no epsilon" in said
    assert json.loads((tmp_path / "made" / STATEMENT).read_text())["epsilon"] is None
    shown = command("scan", tmp_path / "made" / HOSPITAL, "--state", tmp_path / "scan")
    assert "normal 6 · finding 6" in shown

    kept = ("--state", tmp_path / "check", "--out", tmp_path / "checked")
    told = command("generate", tmp_path / "model", "--check", hospitals / "hospital-a", "--count", "60", *kept)
    assert "by chance it would be" in told
    figures = json.loads((tmp_path / "checked" / FIGURES).read_text())
    assert (figures["made"], figures["training"], figures["test"]) == (60, 24, 10)
    assert figures["frechet_of_patients"] < figures["frechet"]  # after two rounds nothing looks like a patient
