"""A simulated run follows its rounds as the coordinator's does, also when it is interrupted and resumed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from test_run import phantom_study, run

from tensorboard_events import events
from wardround_common.errors import StudyError
from wardround_common.study.file import Study
from wardround_simulation.run.plan import Progress

pytestmark = pytest.mark.usefixtures("undrawn")


def tracked(**keys: Any) -> Study:
    return Study.model_validate(phantom_study().model_dump() | {"tracking": keys})


def test_an_interrupted_simulation_goes_on_with_its_events(hospitals: Path, state: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 2:
            raise KeyboardInterrupt

    of, out = tracked(tensorboard=True), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, out, show=interrupt)
    assert {step for _, step in events(out / "tensorboard")} == {1, 2}
    results = run(of, hospitals, state, out, resume=True)
    found = events(out / "tensorboard")
    for record in results.rounds:
        assert found["training_loss", record.number] == pytest.approx(record.training_loss)
        assert found["hospitals_answered", record.number] == 3


def test_what_is_not_installed_is_said_before_the_folder_is_made(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboardX" else there(name))
    with pytest.raises(StudyError, match="tensorboard, which is not installed here"):
        run(tracked(tensorboard=True), hospitals, state, tmp_path / "run")
    assert not (tmp_path / "run").exists()
