"""A run that ``kill -9`` ends again and again while it trains what it is compared with: it goes on to the same numbers.

Each life is a process of its own, forked from one that has imported everything; it dies at the given call.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from test_run import model, phantom_study

from examples import DP
from wardround_common.results import FEDERATED, POOLED, Results, alone, without
from wardround_common.study.file import Study
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
NAMES = ("hospital-a", "hospital-b", "hospital-c")
OWN = phantom_study(privacy=DP, training={"rounds": 12}, evaluation={"every": 12})
SHARED = phantom_study(
    privacy=DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 1},
    training={"rounds": 4, "local_epochs": None, "batch_size": 18},
    aggregation={"secure": True, "min_hospitals": 2},
    evaluation={"every": 4},
)


@dataclass(frozen=True)
class Death:
    """A process is killed before or after the ``count``-th call of a function."""

    place: str
    """A module of the simulation, or a class in one."""
    name: str
    when: Literal["before", "after"]
    count: int = 1


# Of twelve rounds a baseline keeps a checkpoint after the tenth and after the last. Four baselines, three left out.
OF_BASELINES = [
    Death("jobs", "write_checkpoint", "before"),
    Death("jobs", "write_checkpoint", "after", 3),
    Death("run.simulate", "write_report", "before", 2),
    Death("jobs", "train_without", "after"),
]


def live(of: Study, hospitals: Path, out: Path, death: Death | None = None) -> Results:
    """Run the study, from where the last life ended, to its end or to its death."""
    if death:
        module, _, inside = death.place.partition(":")
        place = importlib.import_module(f"wardround_simulation.{module}")
        place = getattr(place, inside) if inside else place
        real: Callable[..., Any] = getattr(place, death.name)
        calls = 0

        def mortal(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == death.count and death.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = real(*arguments, **named)
            if calls == death.count:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(place, death.name, mortal)
    sites = sites_in(hospitals, Places(None, None, frozenset(), hospitals.parent / "state"))
    plan = Plan(of, sites, out, (out / "run.json").exists(), baselines=not of.aggregation.secure, leave_one_out=True)
    return simulate(plan, InThisProcess(), lambda progress: None)


def killed(of: Study, hospitals: Path, out: Path, deaths: list[Death]) -> Results:
    """Let a process die each of the deaths, one after the other, and run what is left of the study."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["wardround_simulation.run.simulate", "test_run"])
    for death in deaths:
        life = forks.Process(target=live, args=(of, hospitals, out, death))
        life.start()
        life.join(120)
        life.kill()  # where it did not die: what is left would be waited for at the end of the tests
        assert life.exitcode == -signal.SIGKILL, death
    return live(of, hospitals, out)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "hospitals"
    make_hospitals(folder, seed=3, hospitals=3, patients=10)
    return folder


def test_kill_9_in_the_baselines_and_where_hospitals_are_left_out_changes_no_number(
    small: Path, tmp_path: Path
) -> None:
    found = killed(OWN, small, tmp_path / "killed", OF_BASELINES)
    whole = live(OWN, small, tmp_path / "whole")
    assert set(found.evaluation) == {FEDERATED, POOLED, *map(alone, NAMES), *map(without, NAMES)}
    assert found.evaluation == whole.evaluation
    assert model(tmp_path / "killed") == model(tmp_path / "whole")
    assert not found.waiting
    for kept in (tmp_path / "whole").rglob("*checkpoint"):
        assert (tmp_path / "killed" / kept.relative_to(tmp_path / "whole")).is_file()


def test_kill_9_between_two_rounds_that_leave_a_hospital_out_under_secure_sums_loses_no_model(
    small: Path, tmp_path: Path
) -> None:
    """A hospital answers no round that lies behind its last one, so that each round must be kept."""
    found = killed(SHARED, small, tmp_path / "killed", [Death("jobs:InOneProcess", "ask", "before", 9)])
    whole = live(SHARED, small, tmp_path / "whole")
    assert set(found.evaluation) == {FEDERATED, *map(without, NAMES)}
    assert found.evaluation == whole.evaluation
