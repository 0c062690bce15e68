"""A coordinator is brought back from a copy that was made while a run went on: it completes, or says that it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from link import until
from processes import NAMES, WAIT_S, Site, services

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with services(tmp_path_factory.mktemp("s")) as made:
        yield made


def set_back(site: Site, name: str, *, secure: bool) -> dict[str, object]:
    """Bring a run's coordinator back from a copy that is two rounds old, and give how the run ends."""
    for hospital in NAMES:
        policy = site.folder / hospital / "policy.toml"
        policy.write_text(
            policy.read_text().replace("require_secure = true", f"require_secure = {str(secure).lower()}")
        )
    site.study(name, training={"rounds": 6}, aggregation={"secure": secure})
    site.run("coordinator", "run", "C", f"{name}.toml", "--detach")
    site.approve(name)
    until(lambda: site.status(name)["round"] >= 1, WAIT_S)
    assert "Copied" in site.run("coordinator", "backup", "C", "copy")
    copied = json.loads((site.folder / "copy" / "runs" / name / "run.json").read_text())["round"]
    until(lambda: site.status(name)["round"] >= copied + 2, WAIT_S)
    site.kill("C")
    shutil.rmtree(site.folder / "C")
    shutil.move(site.folder / "copy", site.folder / "C")
    site.start("C")
    return site.until_over(name)


def test_without_secure_sums_a_run_that_was_set_back_completes_and_nobody_is_charged_twice(site: Site) -> None:
    standing = set_back(site, "plain", secure=False)
    assert (standing["stage"], standing["round"]) == ("done", 6), (standing, site.logs())
    for name in NAMES:
        (study,) = json.loads(site.run("hospital", "budget", "--state", name, "--json"))["studies"]
        assert study["charged"] == 6


def test_under_secure_sums_a_run_that_was_set_back_fails_and_does_what_it_says(site: Site) -> None:
    standing = set_back(site, "masked", secure=True)
    assert standing["stage"] == "failed", (standing, site.logs())
    assert "wardround coordinator resume C masked --give-up" in str(standing["said"])
    for _ in range(6):  # the hospitals are a few rounds ahead
        if standing["stage"] != "failed":
            break
        site.run("coordinator", "resume", "C", "masked", "--give-up", "--detach")
        standing = site.until_over("masked")
    assert standing["stage"] == "incomplete", (standing, site.logs())
    assert "given up" in str(standing["said"])
