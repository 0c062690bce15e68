"""A short soak: eight hospitals, eight rounds; ``make soak`` runs fifty for a hundred."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soaking import Plan, soak


@pytest.mark.slow
def test_every_sum_is_that_of_its_survivors_while_hospitals_drop_out_at_random(tmp_path: Path) -> None:
    plan = Plan(hospitals=8, rounds=8, size=5_000, seed=5)
    soaked = soak(plan, tmp_path)
    assert soaked.books.right == list(range(1, 9)), soaked.log
    assert soaked.books.wrong == []
    assert soaked.books.drops.total() >= 3
    said = sum(count for drop, count in soaked.books.drops.items() if drop.endswith("it failed"))
    assert 0 < soaked.absent <= said  # who vanished and came back was waited for
    assert soaked.standing["stage"] == "incomplete"
    settled, last = soaked.looks[3], soaked.looks[-2]
    assert last.open_files <= settled.open_files + 16
    assert last.threads <= settled.threads + 2
    assert last.rows <= settled.rows * 1.1
    assert soaked.looks[-1].rows < settled.rows / 2  # the run is over: its mail is gone


@pytest.mark.faults
def test_a_run_that_failed_in_a_round_is_resumed_and_its_sums_are_right(tmp_path: Path) -> None:
    plan = Plan(hospitals=5, rounds=2, size=1_000, seed=14)  # two of five drop out in round 2, and four have to open it
    soaked = soak(plan, tmp_path)
    assert "failed" in soaked.log
    assert [*soaked.books.right, *soaked.skipped] == [1, 2]
    assert soaked.books.wrong == []


@pytest.mark.faults
def test_a_soak_that_is_stopped_ends_with_a_sentence() -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(benchmarks), *sys.path])}
    soaking = subprocess.Popen(
        [sys.executable, "soak.py", "4", "500"],
        cwd=benchmarks,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert soaking.stdout
        assert soaking.stdout.readline().startswith("round   1")
        soaking.send_signal(signal.SIGINT)
        said = soaking.communicate(timeout=90)[1]
    finally:
        soaking.kill()
        soaking.wait()
    assert soaking.returncode == 130
    assert said.splitlines()[-1] == "Stopped before the last round: nothing was written."
    assert "Traceback" not in said
