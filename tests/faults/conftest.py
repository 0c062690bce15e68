"""One coordinator and three hospitals for all tests here, whose services can be told where they die."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asking import status_of
from faults import mortal
from processes import NAMES, OVER, Site, services
from wardround_client.spending.policy import POLICY_NAME
from wardround_server.service.commanding import commanding

LOOSE = {"patient_epsilon = 10.0": "patient_epsilon = 1000.0", "require_dp = true": "require_dp = false"}


def loosen(site: Site) -> None:
    """Let the hospitals take part in as many studies as the tests need."""
    for name in NAMES:
        policy = site.folder / name / POLICY_NAME
        text = policy.read_text()
        for before, after in LOOSE.items():
            assert before in text
            text = text.replace(before, after)
        policy.write_text(text)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("f")
    with services(folder, (sys.executable, str(Path(mortal.__file__)), str(folder)), prepare=loosen) as made:
        yield made


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that failed half-way, put right what it left: the next one shall fail for its own reasons only."""
    yield
    if "site" in request.fixturenames:
        put_right(request.getfixturevalue("site"))


def put_right(site: Site) -> None:
    for kind in ("fault", "met", "full"):
        for left in site.folder.glob(f"*.{kind}"):
            left.unlink()
    for who in ("C", *NAMES):
        if who not in site.running or site.running[who].poll() is not None:
            site.start(who)
    for run in status_of(site.folder / "C")["runs"]:
        if run["stage"] not in OVER:
            with commanding(site.folder / "C") as coordinator:
                coordinator.stop(run["name"])
