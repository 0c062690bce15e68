"""Results survive a trip through JSON, and nothing else passes for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scored import Scored
from wardround_common.errors import StorageError
from wardround_common.metrics import METRICS
from wardround_common.results import ALL, FEDERATED, Results, alone, alone_hospital
from wardround_server.report.example import example


@pytest.fixture(scope="module")
def results() -> Results:
    return example(hospitals=3)


def scores(images: int, classes: int = 2, seed: int = 0, labels: int | None = None) -> Scored:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, images) if labels is None else np.full(images, labels)
    p = rng.dirichlet(np.ones(classes), images).astype(np.float32)
    return Scored(y, p, np.arange(images) // 3)


@pytest.mark.parametrize("kind", ["private", "open", "many classes", "one class", "no baselines"])
def test_results_read_back_as_themselves(kind: str) -> None:
    made = example(
        classes=4 if kind == "many classes" else 2,
        hospitals=3,
        private=kind == "private",
        baselines=kind != "no baselines",
        one_class=kind == "one class",
    )
    text = made.to_json()
    assert Results.from_json(text) == made
    assert Results.from_json(text).to_json() == text
    assert "NaN" not in text
    assert "Infinity" not in text


def test_a_model_is_named_by_the_hospital_that_trained_it_alone() -> None:
    assert alone_hospital(alone("St Anselm")) == "St Anselm"
    assert alone_hospital(FEDERATED) is None


def _set(path: list[str | int], value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set(["format"], "wardround results 9"), "wardround results 9"),
        (_set(["surprise"], 1), "surprise"),
        (_set(["rounds", 0, "surprise"], 1), "surprise"),
        (_set(["evaluation", FEDERATED, ALL, "metrics", "auroc", "surprise"], 1), "surprise"),
        (_set(["evaluation", FEDERATED, ALL, "metrics"], {}), "auroc"),
        (_set(["evaluation", "magic"], {}), "magic"),
        (_set(["evaluation", FEDERATED, "Nowhere"], None), "Nowhere"),
        (_set(["study_digest"], "0" * 64), "digest"),
        (_set(["study", "training", "learning_rate"], 0.2), "digest"),
        (_set(["seed"], "1"), "seed"),
        (_set(["rounds", 0, "number"], 2), "numbered"),
        (_set(["rounds", 0, "answered"], ["Nowhere"]), "Nowhere"),
        (_set(["hospitals", 0, "name"], "all"), "different names"),
        (_set(["hospitals", 1, "name"], "Northfield General"), "different names"),
        (_set(["hospitals", 0, "train", "per_class"], [1]), "classes"),
        (_set(["finished"], "2025-03-04T09:30:00"), "finished"),
        (_set(["evaluation", FEDERATED, ALL, "roc", "x"], [0.0]), "as many y"),
        (_set(["evaluation", FEDERATED, ALL, "roc", "x"], [0.0] * 201), "200"),
    ],
)
def test_what_is_not_results_is_refused(results: Results, change: Callable[[Any], None], said: str) -> None:
    document = json.loads(results.to_json())
    change(document)
    with pytest.raises(StorageError, match=said):
        Results.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "wardround results 1"}', "{'a': NaN}"])
def test_text_that_is_not_results_is_refused(text: str) -> None:
    with pytest.raises(StorageError, match=r"runs/x: these are no results"):
        Results.from_json(text, where="runs/x")


def test_a_number_that_is_not_finite_cannot_get_into_results(results: Results) -> None:
    document = results.to_json().replace('"training_loss":0.', '"training_loss":NaN,"x":0.', 1)
    with pytest.raises(StorageError):
        Results.from_json(document)
    with pytest.raises(ValidationError):
        results.rounds[0].model_validate({**results.rounds[0].model_dump(), "training_loss": float("nan")})


def test_a_local_time_is_refused(results: Results) -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Results.model_validate({**dict(results), "started": datetime(2025, 1, 1)})


def test_epsilon_of_a_round_is_the_most_that_a_hospital_has_spent(results: Results) -> None:
    last = results.rounds[-1]
    assert last.epsilon == max(last.epsilons.values())
    assert example(hospitals=2, private=False, baselines=False).rounds[-1].epsilon is None


def test_evaluate_keeps_curves_short_and_ends_at_the_corners() -> None:
    site = scores(5000).judged(0.5)
    assert site.roc is not None
    assert site.precision_recall is not None
    assert len(site.roc.x) <= 200
    assert (site.roc.x[0], site.roc.y[0], site.roc.x[-1], site.roc.y[-1]) == (0, 0, 1, 1)
    assert site.precision_recall.x[-1] == 1
    assert list(site.roc.x) == sorted(site.roc.x)


def test_the_area_under_the_kept_roc_curve_is_the_auroc() -> None:
    for classes in (2, 4):
        site = scores(4000, classes).judged(0.5)
        assert site.roc is not None
        assert np.trapezoid(site.roc.y, site.roc.x) == pytest.approx(site.value("auroc"), abs=0.003)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("images", [0, 1, 2])
def test_a_site_of_hardly_any_image_has_reasons_instead_of_numbers(images: int, classes: int) -> None:
    site = scores(images, classes, labels=0).judged(None, 50)
    assert set(site.metrics) == set(METRICS)
    assert site.roc is None
    auroc = site.metrics["auroc"]
    assert auroc.value is None
    assert auroc.reason
    assert site.images == images


def test_evaluate_without_curves_keeps_the_numbers_only() -> None:
    site = scores(50).judged(0.5, 20, detail=False)
    assert site.roc is site.precision_recall is site.reliability is None
    assert site.metrics["auroc"].low is not None
