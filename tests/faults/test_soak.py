"""A short soak: eight hospitals, eight rounds; ``make soak`` runs fifty for a hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from soaking import Plan, soak

pytestmark = pytest.mark.slow


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
