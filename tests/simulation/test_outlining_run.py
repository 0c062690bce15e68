"""A federation of hospitals that outline: from DICOM, masks and tables to a model, its sums and its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from examples import DP
from outlined_hospitals import HOSPITALS, outlining, outlining_volumes, write_hospitals
from wardround_common.results import ALL, FEDERATED, POOLED, Results, without
from wardround_common.study.file import Study
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

SECURE = {"min_hospitals": 3, "secure": True}
SHARED = {**DP, "trust": "distributed", "sampling_rate": 0.5, "dropouts": 0, "colluders": 1, "images_per_patient": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("outlining")
    write_hospitals(made / "hospitals")
    return made


def run(of: Study, folder: Path, out: Path, *, baselines: bool = False, leave_one_out: bool = False) -> Results:
    sites = sites_in(folder / "hospitals", Places(None, None, frozenset(), folder / "state"))
    plan = Plan(of, sites, out, False, baselines, leave_one_out=leave_one_out)
    return simulate(plan, InThisProcess(), lambda progress: None)


@pytest.mark.slow
def test_a_federation_learns_to_outline_and_reports_dice(folder: Path, tmp_path: Path) -> None:
    results = run(outlining(aggregation=SECURE), folder, tmp_path / "run", baselines=True)
    found = results.evaluation[FEDERATED]
    assert set(found) == {*HOSPITALS, ALL}
    assert POOLED in results.evaluation
    assert found[ALL].metrics["dice"].value is not None
    assert found[ALL].metrics["hausdorff"].value is not None
    assert all(one.train.images for one in results.hospitals)
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Dice" in report
    assert "AUROC" not in report


@pytest.mark.slow
def test_a_federation_learns_to_outline_in_volumes_from_patches(folder: Path, tmp_path: Path) -> None:
    training = {
        "rounds": 8,
        "optimiser": "adamw",
        "learning_rate": 0.01,
        "augmentations": ["flip", "shift", "rotate", "scale", "intensity"],
    }
    of = outlining_volumes(
        training=training, data={"patches_per_volume": 8}, aggregation=SECURE, evaluation={"every": 8}
    )
    results = run(of, folder, tmp_path / "run", baselines=True, leave_one_out=True)
    found = results.evaluation[FEDERATED][ALL].metrics
    assert found["dice"].value is not None
    assert found["dice"].value > 0.75  # 0.2 at the start, and where all that is bright at random is outlined
    assert found["hausdorff"].value is not None
    assert results.evaluation[POOLED][ALL].metrics["dice"].value > 0.75
    assert results.evaluation[without("north")]["north"].metrics["dice"].value > 0.5
    assert all(one.train.images == one.train.patients for one in results.hospitals)  # volumes, not patches
    assert "voxels of 5 × 2 × 2 mm, patches of 8 × 16 × 16" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("made", [outlining, outlining_volumes], ids=["slices", "volumes"])
@pytest.mark.parametrize("privacy", [DP, SHARED], ids=["local", "distributed"])
def test_outlines_are_learnt_with_privacy_by_patient_the_same_each_time(
    privacy: dict[str, Any], made: Callable[..., Study], folder: Path, tmp_path: Path
) -> None:
    shared = "trust" in privacy
    training = {"local_epochs": None, "learning_rate": 0.5} if shared else {}
    of = made(privacy=privacy, training={"rounds": 1, **training}, aggregation=SECURE)
    models = []
    for name in ("once", "again"):
        results = run(of, folder, tmp_path / name)
        assert all(one.privacy is not None and one.privacy.epsilon <= 8 for one in results.hospitals)
        models.append(load_file(tmp_path / name / "model.safetensors"))
    assert all((models[0][name] == models[1][name]).all() for name in models[0])
