"""A task that only the tests bring is trained, judged and reported like any other: a task is a file a side."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_run import SCANNERS, run

import share
from examples import study
from wardround_common.results import ALL, FEDERATED, POOLED, Results
from wardround_common.study.file import Study
from wardround_simulation.display import describe
from wardround_simulation.phantoms import make_hospitals


def brightness(**sections: object) -> Study:
    tables = study(
        data={"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24},
        model={"network": "tiny-cnn"},
        training={"rounds": 6, "learning_rate": 0.02, "batch_size": 4},
    ).tables()
    return Study.model_validate(tables | {"task": {"name": "share"}} | sections)


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True])
def test_a_task_of_the_tests_is_simulated_from_its_study_to_its_report(tmp_path: Path, secure: bool) -> None:
    make_hospitals(tmp_path / "hospitals", seed=3, hospitals=3, patients=12)
    with share.installed():
        of = brightness(aggregation={"min_hospitals": 2, "secure": secure})
        results = run(of, tmp_path / "hospitals", tmp_path / "state", tmp_path / "out", baselines=not secure)
        page = (tmp_path / "out" / "report.html").read_text()
        assert Results.from_json((tmp_path / "out" / "results.json").read_text()) == results
        first, last = results.rounds[0].headline, results.rounds[-1].headline
        assert (first.metric, last.metric) == ("error", "error")
        assert 0 < (last.value or 0) < (first.value or 0)
        whole = results.evaluation[FEDERATED][ALL]
        assert whole.metrics["error"].low is not None
        assert (whole.confusion, whole.roc, whole.threshold) == ((), None, None)
        assert f"Error of the brightness {last.value:.3f}" in describe(results.rounds[-1])
    assert "to tell how bright an image is" in page
    assert "Error of the brightness" in page
    assert "its Error of the brightness is" in page
    assert not {"AUROC", "sensitivity", "ROC", "Confusion"} & set(page.split())
    if not secure:
        assert POOLED in results.evaluation
        assert "Error of the brightness, highest hospital" in page
