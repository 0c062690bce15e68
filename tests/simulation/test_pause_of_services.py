"""Two services that train one study, both needed: one pauses in the middle, or starts without its images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wardround_client.link.supernode as supernode
from asking import status_of
from link import until
from services import WITHIN_S, Federation
from wardround_client.service.ward import plan
from wardround_client.state import pause
from wardround_client.state.approvals import Approvals
from wardround_server.link import link_exchange

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


@pytest.fixture
def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Federation]:
    monkeypatch.setattr(supernode, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(link_exchange, "ASK_AGAIN_S", 0.1)
    with Federation(tmp_path) as made:
        yield made


def standing(federation: Federation) -> dict[str, str]:
    return {one["name"]: one["state"] for one in status_of(federation.place.path)["hospitals"]}


def run(federation: Federation) -> dict[str, Any]:
    (found,) = status_of(federation.place.path)["runs"]
    return dict(found)


@pytest.mark.parametrize("why", ["paused", "images away"])
def test_a_run_that_needs_a_hospital_goes_on_when_it_is_ready_again(federation: Federation, why: str) -> None:
    own = federation.hospitals["hospital-b"]
    images = own.settings().data
    federation.start()
    study = federation.study()
    federation.service._runs.begin(study)
    for name, hospital in federation.hospitals.items():
        proposals = Approvals(hospital.path / "studies")
        until(lambda proposals=proposals: proposals.all(), WITHIN_S)  # type: ignore[misc]
        plan(hospital, study).approve()
        if name == "hospital-b" and why == "images away":
            images.rename(images.with_name("not mounted"))
        proposals.decide(study, "approved")
    if why == "paused":
        until(lambda: run(federation)["stage"] != "approval", WITHIN_S)
        pause.pausing(own.path).make()
    until(lambda: standing(federation)["hospital-b"] == why, WITHIN_S)
    assert run(federation)["stage"] in ("preparing", "training"), run(federation)["said"]
    if why == "paused":
        pause.resuming(own.path).make()
    else:
        images.with_name("not mounted").rename(images)
    federation.service._runs.wait(WITHIN_S)
    assert (run(federation)["stage"], run(federation)["round"]) == ("done", 2), run(federation)["said"]
