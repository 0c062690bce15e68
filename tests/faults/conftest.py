"""One coordinator and three hospitals for all tests here, whose services can be told where they die."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import mortal
from processes import NAMES, Site, services
from wardround_client.policy import POLICY_NAME

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
