"""A hospital that serves: nothing is answered of a study that was not approved, and its status says what is so."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from at_work import at_work
from consortium import RUN, identity, roster, secure_study
from examples import STUDY
from link import until
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.joining import begin
from wardround_client.hospital.secure_desk import Desk
from wardround_client.service.hospital_service import HospitalService
from wardround_client.service.ward import Ward, check_listed, hospital_policy, own_stream
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import ApprovalError, LinkError, PrivacyError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Parts, PrepareRequest
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed, keys_of


@pytest.fixture
def folder(tmp_path: Path) -> HospitalFolder:
    (tmp_path / "images").mkdir()
    made = HospitalFolder(tmp_path / "state")
    begin(made, "a", tmp_path / "images", None, datetime.now(UTC))
    return made


def listing(name: str, public: bytes) -> Study:
    other = Listed.of("other", Identity(bytes(32)).public)
    tables = dict(STUDY) | {"roster": [Listed.of(name, public).model_dump(), other.model_dump()]}
    return Study.model_validate(tables)


def test_a_study_that_was_proposed_waits_and_gets_no_answer_until_it_is_approved(folder: HospitalFolder) -> None:
    study, ward = secure_study(), Ward(folder)
    question = PrepareRequest(study.digest(), False, bytes(16)).parts()
    with pytest.raises(ApprovalError, match="this study was not proposed"):
        ward.answer("prepare", question)
    assert ward.answer("propose", ProposeRequest(study).parts()).parts().fields["decision"] == "waiting"
    with pytest.raises(ApprovalError, match="did not approve"):
        ward.answer("prepare", question)


def test_an_approval_that_is_taken_back_ends_the_answers(folder: HospitalFolder) -> None:
    study, ward = listing("a", folder.identity().public), Ward(folder)
    ward.answer("propose", ProposeRequest(study).parts())
    ward.approvals.decide(study, "approved")
    ward.approvals.decide(study, "refused")
    with pytest.raises(ApprovalError):
        ward.answer("prepare", Parts({"study": study.digest(), "send_parameters": 0}))
    assert ward.answer("propose", ProposeRequest(study).parts()).parts().fields["decision"] == "refused"


def test_a_study_that_lists_another_key_under_our_name_is_refused(folder: HospitalFolder) -> None:
    ours = folder.identity()
    check_listed(listing("a", ours.public), "a", ours)
    for study in (listing("a", Identity(b"k" * 32).public), listing("b", ours.public), Study.model_validate(STUDY)):
        with pytest.raises(PrivacyError, match="does not list a with this hospital's key"):
            check_listed(study, "a", ours)


def test_without_a_policy_nothing_is_served(folder: HospitalFolder) -> None:
    with pytest.raises(PrivacyError, match="there is no policy"):
        hospital_policy(folder)


def test_before_an_invitation_the_service_says_what_is_missing_and_has_removed_what_is_half_written(
    folder: HospitalFolder,
) -> None:
    import threading

    from wardround_client.spending.policy import POLICY_NAME, policy_text

    (folder.path / POLICY_NAME).write_text(policy_text())
    half = folder.path / "studies" / "0" / "desk" / ".train.upload.0a1b2c3d"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")  # what a kill in the middle of a write left
    with pytest.raises(StorageError, match="accepted no invitation"):
        HospitalService(folder, lambda text: None).serve(threading.Event())
    assert not half.exists()


@pytest.mark.parametrize(("state", "well"), [("waiting", True), ("working", True), ("connecting", False)])
def test_a_hospital_that_the_coordinator_does_not_know_is_not_healthy(tmp_path: Path, state: str, well: bool) -> None:
    asked, shown = ["health", "--state", str(tmp_path)], ["status", "--state", str(tmp_path)]
    with at_work(tmp_path, state) as service:
        until(lambda: service._health.is_current)
        until(lambda: CliRunner().invoke(app, asked).exit_code == 0 or not well)
        done = CliRunner().invoke(app, asked)
        assert CliRunner().invoke(app, shown).stdout.startswith(f"{state} since")
    assert (done.exit_code == 0) is well
    assert well or isinstance(done.exception, LinkError)
    dead = CliRunner().invoke(app, asked)  # F3: what a process that was killed left behind is not health
    assert isinstance(dead.exception, LinkError)
    assert CliRunner().invoke(app, shown).stdout.startswith("stopped")


def test_a_study_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stream.key"
    first = own_stream(path).words(2).tolist()
    assert own_stream(path).words(2).tolist() == first  # the same until the study is over
    assert own_stream(tmp_path / "another").words(2).tolist() != first
    assert len(set(path.read_bytes())) > 8  # 32 bytes that follow from nothing
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o640)
    with pytest.raises(StorageError, match="other users can read this hospital's secret of a study") as caught:
        own_stream(path)
    assert caught.value.do == f"Run: chmod 600 '{path}'"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StorageError, match="is damaged"):
        own_stream(path)


def test_a_desk_takes_the_roster_of_its_study_and_no_other(tmp_path: Path) -> None:
    study = listing("a", identity("a").public)
    Desk(study, "a", identity("a"), keys_of(study.roster), tmp_path, os.urandom)
    with pytest.raises(PrivacyError, match="not that of the study that this hospital approved"):
        Desk(study, "a", identity("a"), roster("abcd"), tmp_path, os.urandom)


def test_a_run_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    desk = Desk(secure_study(), "a", identity("a"), roster("abcd"), tmp_path, os.urandom)
    desk.join(RUN)
    (tmp_path / "run").chmod(0o604)
    with pytest.raises(StorageError, match="other users can read what this hospital keeps of its secure sums"):
        desk.join(RUN)
