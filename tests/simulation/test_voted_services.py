"""A vote over the real link: ballots and statements arrive, hold, and stay in the run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from services import NAMES, Federation
from wardround_common.messages.vote import read_ballots
from wardround_common.results import Results

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


def test_hospitals_vote_over_the_link_and_what_they_signed_is_kept(tmp_path: Path) -> None:
    with Federation(tmp_path) as federation:
        federation.start()
        standing = federation.run(federation.study(aggregation={"vote_margin": 100.0, "clip_statements": True}))
        assert standing["stage"] == "done", standing
        folder = federation.place.path / "runs" / "lung"
        found = Results.from_json((folder / "results.json").read_text())
        assert [record.counted for record in found.rounds] == [True, True]
        for number in (1, 2):
            ballots = read_ballots((folder / "secure" / f"ballots.{number:06d}").read_bytes())
            assert {name: worse for name, (worse, _) in ballots.items()} == dict.fromkeys(NAMES, False)
            assert (folder / "secure" / f"statements.{number:06d}").exists()
