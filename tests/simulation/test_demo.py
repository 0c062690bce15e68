"""The demo is what the README promises: differential privacy on, a report at the end, run again without harm."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from test_run import model
from test_simulate_command import typed

from wardround_common.results import ALL, FEDERATED, Results, alone
from wardround_common.study.privacy import DpSgd
from wardround_simulation.demo import demo_study


def test_the_demo_has_differential_privacy_on() -> None:
    privacy = demo_study().privacy
    assert isinstance(privacy, DpSgd)
    assert (privacy.epsilon, privacy.delta) == (8.0, 1e-5)


@pytest.mark.slow
def test_the_demo_shows_a_federation_that_does_clearly_better_than_hospitals_alone_on_average(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert typed(monkeypatch, "demo", "--out", tmp_path / "demo") == 0
    results = Results.from_json((tmp_path / "demo" / "results.json").read_text())
    auroc = {name: sites[ALL].metrics["auroc"].value or 0.0 for name, sites in results.evaluation.items()}
    hospitals = [hospital.name for hospital in results.hospitals]
    assert len(hospitals) == 4
    assert auroc[FEDERATED] > 0.9
    assert auroc[FEDERATED] > statistics.mean(auroc[alone(name)] for name in hospitals) + 0.05
    assert all(hospital.privacy and hospital.privacy.epsilon <= 8.0 for hospital in results.hospitals)
    before = model(tmp_path / "demo")
    assert typed(monkeypatch, "demo", "--out", tmp_path / "demo") == 0
    assert model(tmp_path / "demo") == before
