"""Whole runs in which hospitals share the noise out: the same model however it is run, within its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_run import model, phantom_study, run

from wardround_client.training.local_work import plan_privacy
from wardround_common.results import FEDERATED, POOLED
from wardround_common.study.file import Study
from wardround_simulation.run.plan import Progress

pytestmark = pytest.mark.usefixtures("undrawn")

SHARED = {
    "mechanism": "dp-sgd",
    "trust": "distributed",
    "epsilon": 8.0,
    "delta": 1e-3,
    "clip_norm": 1.0,
    "sampling_rate": 1.0,
    "dropouts": 0,
    "colluders": 1,
}


def shared(**sections: dict[str, Any]) -> Study:
    training = {"rounds": 2, "local_epochs": None, "batch_size": 18} | sections.pop("training", {})
    return phantom_study(
        privacy=SHARED, training=training, aggregation={"secure": True}, evaluation={"every": 2}, **sections
    )


@pytest.mark.slow
def test_a_run_stays_within_its_epsilon_goes_on_after_a_stop_and_says_what_it_rests_on(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = shared().but({"data.normalisation": "federation", "privacy.normalisation_epsilon": 1.0})

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, tmp_path / "broken", show=interrupt)
    run(of, hospitals, state, tmp_path / "broken", resume=True)
    results = run(of, hospitals, state, tmp_path / "whole", baselines=True)
    assert model(tmp_path / "broken") == model(tmp_path / "whole")
    assert {FEDERATED, POOLED} < set(results.evaluation)
    assert not results.rounds[0].epsilons  # the model was not judged then
    last = results.rounds[-1].epsilons
    assert len(last) == 3
    assert len(set(last.values())) == 1  # the same at each hospital: it tells nothing of how many patients there are
    assert 7 < max(last.values()) <= 8
    spent = [one.privacy for one in results.hospitals if one.privacy]
    assert {one.epsilon for one in spent} == set(last.values())  # the sum before the first round is in both
    assert all(one.noise_before and one.noise_before > one.noise_multiplier for one in spent)
    assert any("that the hospitals added up with noise before the first round" in note for note in results.notes)
    assert any("does not hold for one hospital's sum by itself" in note for note in results.notes)
    page = (tmp_path / "whole" / "report.html").read_text()
    assert "noise shared out under secure sums" in page


def test_the_pooled_baseline_has_the_same_rate_steps_and_noise(hospitals: Path, state: Path, tmp_path: Path) -> None:
    from wardround_simulation.federation import alone_study

    of = shared()
    assert plan_privacy(alone_study(of), 58) == plan_privacy(of, 10)
