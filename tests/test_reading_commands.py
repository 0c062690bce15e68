"""Commands that read work on a copy that cannot be written and on a full disk; those that decide leave log and state
together there. On real mounts, in a name space of their own: where that is not allowed, these tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from consortium import secure_study
from ledgers import EVENT, approve, charge, opened
from on_a_disk import DECIDES, GIVES_OUT, READS
from wardround_client.hospital.hospital_audit import hospital_log, note_approval
from wardround_client.hospital.joining import begin as set_up
from wardround_client.service.ward import Ward
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.documents.enrolment import Request
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.keys.identity import Identity
from wardround_server.service.enrolment_desk import begin, enrol
from wardround_server.state.coordinator_folder import CoordinatorFolder

pytestmark = pytest.mark.slow
NOW = datetime.now(UTC)


def may_mount() -> bool:
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([str(unshare), "-rm", "true"], check=False).returncode == 0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not may_mount():
        pytest.skip("this machine lets nobody mount a disk of their own")
    place = tmp_path_factory.mktemp("disks")
    (place / "images").mkdir()
    hospital, study = HospitalFolder(place / "both" / "A"), secure_study()
    set_up(hospital, "mercy", place / "images", None, NOW)
    ward = Ward(hospital, note=hospital_log(hospital).note)
    ward.answer("propose", ProposeRequest(study).parts())
    ledger = opened(hospital.path, hospital.identity())
    cohort = ledger.key.cohort(["p", "q"])
    ledger.approve(study.digest(), study.study.name, 5, EVENT, cohort, "data", lambda books: None)
    note_approval(hospital, study, ward.approvals.deciding(study, "approved"))
    charge(ledger, "a", 1, approve(ledger, "a"))
    coordinator = CoordinatorFolder(place / "both" / "C")
    begin(coordinator, ["fl.example.org"], 9093, NOW)
    enrol(coordinator, Request.make("mercy", Identity(b"m" * 32), generate_private_key(SECP256R1()), NOW), NOW)
    program = Path(__file__).with_name("on_a_disk.py")
    command = ["unshare", "-rm", sys.executable, str(program), str(place / "both")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_commands_that_read_or_give_out_work_on_a_copy_that_cannot_be_written(found: Any) -> None:
    assert found["read only"] == dict.fromkeys((*READS, *GIVES_OUT), "done")


def test_commands_that_read_work_on_a_full_disk(found: Any) -> None:
    assert found["full"] == dict.fromkeys(READS, "done")


def test_a_decision_on_a_full_disk_is_neither_taken_nor_noted(found: Any) -> None:
    for command in DECIDES:
        assert "the disk is full" in found["decisions"][command], (command, found["decisions"][command])
    assert found["after"] == found["before"]
    assert found["before"]["decision"] == "approved"


def test_with_room_again_the_decision_is_taken_and_noted(found: Any) -> None:
    assert set(found["with room"].values()) == {"done"}
    assert found["at last"]["decision"] == "refused"
    assert found["at last"]["revoked"] == 1
    assert found["at last"]["said"] == {"A": "study closed", "C": "hospital revoked"}  # withdrawn, and then closed
