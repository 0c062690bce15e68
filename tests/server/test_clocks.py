"""Clocks and certificates that are wrong at the coordinator: its own people read it, and not only every hospital's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardround_common.keys.certificates import WARN_DAYS
from wardround_server.link.clocks import clock_warning
from wardround_server.service.enrolment_desk import begin, renew
from wardround_server.service.serving import Service
from wardround_server.state.coordinator_folder import CoordinatorFolder

NOW = datetime.now(UTC)
DAY = 86_400.0


@pytest.mark.parametrize(("behind", "words"), [(DAY, "24 h behind"), (-DAY, "24 h ahead of"), (660.0, "11 min behind")])
def test_clocks_that_differ_from_ours_and_not_from_one_another_say_that_ours_is_wrong(
    behind: float, words: str
) -> None:
    said = clock_warning({"north": behind, "mercy": behind + 20}) or ""
    assert f"all {words} this machine's: mercy, north" in said
    assert "This machine's own clock is probably wrong" in said


def test_one_clock_that_differs_is_nobodys_in_particular() -> None:
    said = clock_warning({"mercy": DAY}) or ""
    assert "mercy, 24 h behind this machine's" in said
    assert "own clock is probably wrong" not in said
    both = clock_warning({"mercy": DAY, "north": -900.0}) or ""
    assert "mercy, 24 h behind this machine's; north, 15 min ahead of this machine's" in both
    assert "own clock is probably wrong" not in both
    assert clock_warning({}) is None


def test_status_warns_of_a_certificate_that_ends_while_the_service_runs_or_is_not_valid_yet(tmp_path: Path) -> None:
    folder, said = CoordinatorFolder(tmp_path / "C"), list[str]()
    begin(folder, ["127.0.0.1"], 9093, NOW - timedelta(days=400))
    service = Service(folder, lambda text, **_: said.append(text))
    warned = {400: "certificate expired on", 397 - WARN_DAYS + 2: "certificate expires on", -3: "is not valid before"}
    for age_days, words in warned.items():
        renew(folder, [], None, NOW - timedelta(days=age_days))
        service._certificate = folder.server_certificate.read_bytes()
        said.clear()
        for _ in range(3):
            service._look(service._renew)
        assert [text for text in said if words in text] == said
        assert len(said) == 1
        assert words in "".join(service.status().damaged)
    renew(folder, [], None, NOW)
    service._look(service._renew)
    assert service.status().damaged == ()
