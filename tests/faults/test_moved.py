"""A coordinator that moves, an authority that is replaced, a hospital that is revoked: all in a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import mortal
from faults.conftest import loosen
from faults.mortal import Fault
from processes import NAMES, Site, free_port, services

pytestmark = pytest.mark.faults
A, B, C = NAMES
TRAIN = "wardround_client.hospital.answering:train"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("m")
    with services(folder, (sys.executable, str(Path(mortal.__file__)), str(folder)), prepare=loosen) as made:
        yield made


def invitations(site: Site, *options: str) -> dict[str, str]:
    """Renew, and give each hospital's new invitation."""
    renewed = json.loads(site.run("coordinator", "renew", "C", *options, "--json"))
    return {one["hospital"]: one["file"] for one in renewed["new_invitations"]}


def accept(site: Site, name: str, invitation: str) -> None:
    site.terminate(name)
    site.run("hospital", "accept", invitation, "--state", name, "--yes")
    site.start(name)


def test_a_coordinator_that_moves_in_a_round_goes_on_when_its_hospitals_have_their_new_invitations(site: Site) -> None:
    study = site.study("moved", training={"rounds": 2})
    site.approve_here(study)
    Fault(TRAIN, "after", does="slow").write(site.folder, A)
    site.begin(study)
    site.until((site.folder / f"{A}.met").exists)
    assert site.terminate("C") == 0
    new = invitations(site, "--port", str(free_port()))
    assert set(new) == set(NAMES)
    site.start("C")
    for name in NAMES:
        accept(site, name, new[name])
    assert site.until_over("moved")["stage"] == "done"
    assert site.each_charged(study, 2)


def test_F9_an_older_provisioning_is_said_at_both_ends_and_is_not_healthy(site: Site) -> None:  # noqa: N802
    new = invitations(site, "--new-authority")
    site.terminate("C")
    site.start("C")
    site.until(lambda: "not from the authority in the invitation" in site.hospital_noted(A)["fault"])
    site.run("hospital", "health", "--state", A, code=8)
    assert A not in site.connected()
    study = site.study("f9", training={"rounds": 2})
    site.approve_here(study)
    site.begin(study)
    site.until(lambda: site.status("f9")["hospitals"].get(A) == "away")
    for name in NAMES:
        accept(site, name, new[name])
    assert site.until_over("f9")["stage"] == "done"


def test_a_hospital_that_is_revoked_in_a_round_is_out_and_the_run_says_so(site: Site) -> None:
    study = site.study("revoked", training={"rounds": 2}, aggregation={"secure": True, "min_hospitals": 2})
    site.approve_here(study)
    Fault(TRAIN, "before", does="slow").write(site.folder, C)
    site.begin(study)
    site.until((site.folder / f"{C}.met").exists)
    site.run("coordinator", "revoke", "C", C, "--yes")
    standing = site.until_over("revoked")
    assert standing["stage"] == "incomplete"
    assert "hospital-c was missing in 2 of 2 rounds" in standing["said"]
    assert [record.answered for record in site.state(study).history] == [(A, B)] * 2
    site.until(lambda: "does not know this hospital's key" in site.hospital_noted(C)["fault"])
