"""A hospital approves after a run began without it: the coordinator's people see that, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from link import until
from wardround_client.service.heart import heart_of
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.log import AuditLog
from wardround_common.audit.witness import Witness
from wardround_common.documents.proposal import sign_approval
from wardround_common.messages.run_header import APPROVED_HEADER, MOST, read_approved, write_approved, write_runs
from wardround_common.storage import write_atomically
from wardround_server.rounds.approval import ApprovalBook
from wardround_server.service.enrolment_desk import begin
from wardround_server.service.serving import APPROVED_LATER, NOT_APPROVED, Service
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import Standings
from wards import identity, rostered

NOW = datetime.now(UTC)


def test_status_shows_who_approved_after_a_run_began_and_who_has_not(tmp_path: Path) -> None:
    study = rostered(min_hospitals=2)
    folder = CoordinatorFolder(tmp_path / "C")
    begin(folder, ["127.0.0.1"], 9093, NOW)
    run = folder.path / "runs" / "test"
    run.mkdir(parents=True)
    write_atomically(run / "study", study.canonical())
    digest, names = study.digest(), sorted(one.name for one in study.roster)
    began, late = names[:2], names[2:]
    standing = Standings(name="test", digest=digest, stage="training", since=NOW, rounds=2, began=NOW, least=2)
    (run / "run.json").write_text(standing.model_dump_json())
    for name in began:
        ApprovalBook(run / "approvals").add(name, sign_approval(identity(name), study, name).signature)
    service = Service(folder, lambda *_, **__: None)

    def does(name: str) -> str:
        doing = service.status().runs[0].doing
        return doing[name].state if name in doing else ""

    service._runs.go_on()
    until(lambda: does(late[0]) == NOT_APPROVED)
    service._hear(late[0], write_approved(["a" * 64, digest]))
    assert does(late[0]) == APPROVED_LATER
    assert all(does(name) not in (NOT_APPROVED, APPROVED_LATER) for name in began)
    service._hear(late[0], {})  # its people refused it since, or it has an earlier version
    assert does(late[0]) == NOT_APPROVED
    service._runs.stop("test")
    service._runs.wait(30)
    assert does(late[0]) == ""  # the run is over: nobody does anything in it


def test_a_heartbeat_names_those_of_its_coordinators_studies_that_this_hospital_approved(tmp_path: Path) -> None:
    folder = HospitalFolder(tmp_path)
    approvals = Approvals(folder.path / "studies")
    heart = heart_of(folder, Witness(AuditLog(folder.audit, identity("a"), "hospital", "a")), b"c" * 32)
    assert APPROVED_HEADER not in heart.says()
    yes, no, open_, elsewhere = (rostered(name) for name in ("yes", "no", "open", "elsewhere"))
    for study in (yes, no, open_, elsewhere):
        approvals.propose(study)
    for study in (yes, elsewhere):  # the one of a coordinator that this hospital had before
        approvals.decide(study, "approved")
    assert APPROVED_HEADER not in heart.says()
    heart.hears(write_runs(dict.fromkeys([yes.digest(), no.digest(), open_.digest()], "training")))
    approvals.decide(no, "refused")
    (folder.path / "studies" / f"{'b' * 64}.json").write_text("damaged")
    assert read_approved(heart.says()[APPROVED_HEADER]) == {yes.digest()}
    approvals.decide(yes, "refused")
    assert APPROVED_HEADER not in heart.says()


def test_a_header_of_anything_names_no_more_than_it_may(tmp_path: Path) -> None:
    many = [f"{number:064x}" for number in range(MOST + 5)]
    assert read_approved(write_approved(many)[APPROVED_HEADER]) == set(many[5:])
    assert read_approved(",".join(many)) == set(many[:MOST])
    assert read_approved("") == read_approved("x" * 64) == read_approved("a" * 63 + "," + "A" * 64) == frozenset()
