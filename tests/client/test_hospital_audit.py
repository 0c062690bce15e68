"""What a hospital's people see of its audit log, and what pausing does: the commands, and a service that answers."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from typer.testing import CliRunner

from at_work import at_work
from consortium import secure_study
from examples import study
from ledgers import EVENT, approve, charge, opened, policy
from models_made import model_folder
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.answering import build
from wardround_client.hospital.hospital_audit import hospital_log, note_approval
from wardround_client.hospital.joining import begin, replace_keys
from wardround_client.link.supernode import State, Status
from wardround_client.service.ward import Ward
from wardround_client.site_shift.kept import NAME, Kept
from wardround_client.spending.account import Account, Ask
from wardround_client.spending.charge_note import Charge
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_client.training.accounting import epsilon_of
from wardround_common.audit.entries import Entry, read_line
from wardround_common.audit.log import AuditLog, lines, segments
from wardround_common.audit.passage import Passage
from wardround_common.audit.pending import prepare
from wardround_common.audit.recorder import Recorder
from wardround_common.documents.enrolment import Invitation
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import ApprovalError, PausedError, StorageError
from wardround_common.keys.certificates import make_authority, pem
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import PrepareRequest
from wardround_common.randomness import insecure_stream
from wardround_common.results.model_folder import MODEL

NOW = datetime.now(UTC)
COORDINATOR = Identity(b"c" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> HospitalFolder:
    (tmp_path / "images").mkdir()
    made = HospitalFolder(tmp_path / "state")
    begin(made, "mercy", tmp_path / "images", None, NOW)
    return made


def run(folder: HospitalFolder, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--state", str(folder.path)])


def noted(folder: HospitalFolder) -> list[Entry]:
    return [read_line(line) for line in lines(folder.audit)][1:]


def whats(folder: HospitalFolder) -> list[str]:
    return [entry.what for entry in noted(folder)]


def invite(folder: HospitalFolder) -> Path:
    authority = pem(make_authority(generate_private_key(SECP256R1()), NOW).certificate)
    path = folder.path.parent / "mercy.invitation"
    path.write_bytes(Invitation.make(folder.request(), "fl.example.org:9093", authority, COORDINATOR, NOW).content())
    return path


def test_accepting_an_invitation_is_noted_once_with_the_fingerprint(folder: HospitalFolder) -> None:
    path = invite(folder)
    for _ in range(2):
        assert run(folder, "accept", str(path), "--yes").exit_code == 0
    [entry] = noted(folder)
    assert entry.what == "invitation accepted"
    assert entry.facts["fingerprint"] == Invitation.read(path).fingerprint


def test_what_people_give_out_by_hand_is_noted_and_so_is_a_study_that_they_close(
    folder: HospitalFolder, tmp_path: Path
) -> None:
    images, request = str(tmp_path / "images"), str(tmp_path / "asked")
    again = ["init", "mercy", "--data", images, "--out", request]
    assert run(folder, *again).exit_code == 0  # the request that there is: nothing new is asked
    assert run(folder, *again, "--new-node-key").exit_code == 0
    ledger = opened(folder.path, folder.identity())
    charge(ledger, "a", 1, approve(ledger, "a"))
    statement = tmp_path / "stated"
    assert run(folder, "statement", "study-a", "--out", str(statement)).exit_code == 0
    assert run(folder, "close", "aaa").exit_code == 0
    asked, stated, closed = noted(folder)
    assert (asked.what, stated.what, closed.what) == ("request made", "statement given", "study closed")
    assert asked.facts == {"fingerprint": folder.request().fingerprint, "request": sha256_of(Path(request))}
    assert stated.facts == {"study": "a" * 12, "statement": sha256_of(statement)}
    assert closed.facts == {"study": "a" * 12, "name": "study-a"}


def test_a_model_of_the_hospitals_own_is_noted_before_it_is_written(folder: HospitalFolder, tmp_path: Path) -> None:
    of = study(training={"personal": "norm"})
    shared = model_folder(tmp_path / "shared", of)
    built = build(of)
    kept = Kept(folder.path / "studies" / of.digest() / NAME, of.digest(), built.first_own)
    refused = run(folder, "own", str(shared), "--out", str(tmp_path / "own"))
    assert isinstance(refused.exception, StorageError)
    assert not folder.audit.exists()
    kept.keep(3, built.first_own, built.first_own + 1)
    assert run(folder, "own", str(shared), "--out", str(tmp_path / "own")).exit_code == 0
    [entry] = noted(folder)
    assert entry.what == "own model written"
    digest = sha256_of(tmp_path / "own" / MODEL)
    assert entry.facts == {"study": of.digest()[:12], "round": 3, "model": digest}
    shutil.rmtree(folder.audit)
    folder.audit.write_text("in the way")
    assert isinstance(run(folder, "own", str(shared), "--out", str(tmp_path / "other")).exception, StorageError)
    assert not (tmp_path / "other").exists()


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_proposal_a_refusal_and_a_question_that_is_refused_are_noted(folder: HospitalFolder) -> None:
    study = secure_study()
    ward = Ward(folder, note=hospital_log(folder).note)
    for _ in range(3):
        ward.answer("propose", ProposeRequest(study).parts())
    with pytest.raises(ApprovalError):
        ward.answer("prepare", PrepareRequest(study.digest(), False, bytes(16)).parts())
    assert run(folder, "refuse", study.study.name).exit_code == 0
    proposed, refused, declined = noted(folder)
    assert (proposed.what, declined.what) == ("study proposed", "study refused")
    assert refused.facts == {"kind": "prepare", "why": "unapproved", "study": study.digest()[:12]}
    note_approval(folder, study)
    ward.approvals.decide(study, "approved")
    assert run(folder, "refuse", study.study.name).exit_code == 0
    assert whats(folder)[-2:] == ["study approved", "study withdrawn"]


def test_a_decision_that_cannot_be_noted_is_not_taken(folder: HospitalFolder) -> None:
    study = secure_study()
    ward = Ward(folder)
    ward.answer("propose", ProposeRequest(study).parts())
    folder.audit.write_text("in the way")
    assert isinstance(run(folder, "refuse", study.study.name).exception, StorageError)
    assert ward.approvals.get(study.digest()).decision == "waiting"


def test_a_decision_whose_service_is_emptied_of_its_log_changes_nothing(folder: HospitalFolder) -> None:
    study, ward = secure_study(), Ward(folder)
    ward.answer("propose", ProposeRequest(study).parts())
    ward.approvals.decide(study, "approved")
    for _ in range(3):
        hospital_log(folder).note("service began")
    head = (folder.audit / "head").read_bytes()
    for path in segments(folder.audit):
        path.unlink()
    for command in (("refuse", study.study.name), ("pause",), ("audit", "head")):
        with pytest.raises(StorageError, match="has no entry any more, and there were 4"):
            run_raising(folder, *command)
    with pytest.raises(StorageError, match="entries 1 to 4 were cut off"):
        run_raising(folder, "audit", "verify")
    assert ward.approvals.get(study.digest()).decision == "approved"
    assert not paused_since(folder.path)
    assert (folder.audit / "head").read_bytes() == head
    assert segments(folder.audit) == []


def run_raising(folder: HospitalFolder, *arguments: str) -> None:
    error = run(folder, *arguments).exception
    if error:
        raise error


def test_a_refusal_that_a_crash_cut_off_after_its_entry_holds_with_the_next_one(folder: HospitalFolder) -> None:
    study, ward = secure_study(), Ward(folder)
    ward.answer("propose", ProposeRequest(study).parts())
    ward.approvals.decide(study, "approved")
    hospital_log(folder).note("study withdrawn", {"study": study.digest()[:12]})
    prepare(folder.audit, 2, ward.approvals.deciding(study, "refused"))
    hospital_log(folder).note("service began")
    assert ward.approvals.get(study.digest()).decision == "refused"


def test_commands_that_read_write_nothing(folder: HospitalFolder, tmp_path: Path) -> None:
    run(folder, "accept", str(invite(folder)), "--yes")
    study = secure_study()
    Ward(folder, note=hospital_log(folder).note).answer("propose", ProposeRequest(study).parts())
    ledger = opened(folder.path, folder.identity())
    charge(ledger, "a", 1, approve(ledger, "a"))

    def tree() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in (folder.path, *folder.path.rglob("*"))
        }

    before = tree()
    for command in READING:
        assert run(folder, *command).exit_code == 0, command
        assert tree() == before, command


READING = (
    ("audit", "show"),
    ("audit", "verify"),
    ("audit", "head"),
    ("studies",),
    ("status",),
    ("budget",),
    ("ledger", "verify"),
    ("ledger", "head"),
)


def test_a_charge_is_noted_with_what_it_did_to_the_patient_who_spent_most(folder: HospitalFolder) -> None:
    ledger, study = opened(folder.path), secure_study()
    before = approve(ledger, "b", ["q", "r"])
    for number in (1, 2):
        ledger.charge("b" * 64, number, before, EVENT, "d" * 64, lambda books: None)
    cohort = ledger.key.cohort(["p", "q"])
    rounds = study.training.rounds
    ledger.approve(study.digest(), "a", rounds, EVENT, cohort, "data", lambda books: None)
    told: list[Charge] = []
    account = Account(ledger, policy(patient_epsilon=100, study_epsilon=100), Ask(study, EVENT, cohort, "data", 2))
    account.charging = told.append
    stream = insecure_stream(1, "a test")
    for number in (1, 1, 2):  # the same question again is not charged again
        account.charge(number, "p" * 64, stream)
    assert [(one.round, one.delta) for one in told] == [(1, 1e-5), (2, 1e-5)]
    spent = [epsilon_of(EVENT.times(count), 1e-5) for count in (2, 3, 4)]  # q is in both studies
    assert [one.before for one in told] == pytest.approx(spent[:2])
    assert [one.after for one in told] == pytest.approx(spent[1:])
    hospital_log(folder).note("round charged", told[0].facts())
    assert noted(folder)[0].facts["epsilon after"] == pytest.approx(spent[1], abs=1e-5)


def test_a_charge_that_cannot_be_noted_is_not_made_and_one_that_a_crash_cut_off_is_noted_again(
    folder: HospitalFolder,
) -> None:
    ledger, study = opened(folder.path), secure_study()
    cohort = ledger.key.cohort(["p", "q"])
    ledger.approve(study.digest(), "a", study.training.rounds, EVENT, cohort, "data", lambda books: None)
    account = Account(ledger, policy(patient_epsilon=100, study_epsilon=100), Ask(study, EVENT, cohort, "data", 2))
    told: list[Charge] = []

    def full(charge: Charge) -> None:
        told.append(charge)
        raise StorageError("the disk is full")

    account.charging = full
    with pytest.raises(StorageError, match="full"):
        account.charge(1, "p" * 64, insecure_stream(1, "a test"))
    assert opened(folder.path).books.rounds_of(study.digest()) == []
    account.charging = told.append
    account.charge(1, "p" * 64, insecure_stream(1, "a test"))
    assert opened(folder.path).books.rounds_of(study.digest()) == [1]
    assert (told[0].before, told[1].before) == (0.0, 0.0)
    assert told[1].after == pytest.approx(epsilon_of(EVENT.times(1), 1e-5))


def test_the_log_is_shown_as_a_table_and_as_json_lines(folder: HospitalFolder) -> None:
    log = hospital_log(folder)
    Recorder(log)(Passage("in", "coordinator", "train", "c" * 64, 12345, "m" * 64, "5" * 64, 3))
    log.note("paused")
    shown = run(folder, "audit").stdout
    assert (
        "message in          train round 3, study 555555555555, 12,345 bytes, content cccccccccccc, from coord" in shown
    )
    assert len(run(folder, "audit", "--last", "1").stdout.splitlines()) == 1
    rows = [json.loads(line) for line in run(folder, "audit", "--json").stdout.splitlines()]
    assert [row["what"] for row in rows] == ["log opened", "message in", "paused"]
    assert rows[1]["facts"]["round"] == 3


def test_following_shows_what_is_added(folder: HospitalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from wardround_common.audit import commands

    log, said = hospital_log(folder), list[str]()
    log.note("paused")
    work = iter([lambda: log.note("resumed"), lambda: log.note("service began", {"version": "1"})])

    def sleep(seconds: float) -> None:
        next(work, _stop)()

    monkeypatch.setattr(commands.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        commands.show(folder.audit, 1, True, False, said.append)
    assert [line.split("  ")[-1] if "began" not in line else "began" for line in said] == ["paused", "resumed", "began"]


def _stop() -> None:
    raise KeyboardInterrupt


def test_verify_names_the_faults_and_takes_heads_that_were_given_out(folder: HospitalFolder) -> None:
    log = hospital_log(folder)
    log.note("paused")
    log.note("resumed")
    head = run(folder, "audit", "head").stdout.strip()
    assert "is whole: 3 entries, signed by mercy" in run(folder, "audit", "verify", "--head", head).stdout
    path = folder.audit / "000000000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"resumed", b"resumes"))
    done = run(folder, "audit", "verify")
    assert isinstance(done.exception, StorageError)
    assert done.exit_code != 0
    assert "entry 3 is not what mercy signed" in str(done.exception)


def test_the_coordinators_log_is_checked_with_the_key_of_the_invitation(folder: HospitalFolder, tmp_path: Path) -> None:
    assert run(folder, "accept", str(invite(folder)), "--yes").exit_code == 0
    AuditLog(tmp_path / "theirs", COORDINATOR, "coordinator", "fl.example.org:9093").export(tmp_path / "theirs.log")
    AuditLog(tmp_path / "other", Identity(b"o" * 32), "coordinator", "x").export(tmp_path / "other.log")
    done = run(folder, "audit", "verify", "--against", str(tmp_path / "theirs.log"))
    assert "The log of the coordinator is whole" in done.stdout
    wrong = run(folder, "audit", "verify", "--against", str(tmp_path / "other.log"))
    assert "entry 1 is not what the coordinator signed" in str(wrong.exception)
    none = run(folder, "audit", "verify", "--against", str(invite(folder)))
    assert isinstance(none.exception, StorageError)
    (tmp_path / "copy").mkdir()
    empty = run(folder, "audit", "verify", "--against", str(tmp_path / "copy"))
    assert "there is no audit log in this folder" in str(empty.exception)
    missing = run(folder, "audit", "verify", "--against", str(tmp_path / "typo.log"))
    assert "typo.log: the audit log cannot be read (No such file or directory)" in str(missing.exception)


def test_another_identity_begins_another_log_and_the_old_one_is_kept(folder: HospitalFolder) -> None:
    hospital_log(folder).note("paused")
    replace_keys(folder, NOW, identity=True)
    begin(folder, "mercy", folder.path.parent / "images", None, NOW)
    hospital_log(folder).note("resumed")
    assert whats(folder) == ["resumed"]
    [old] = folder.replaced.glob("*/audit/*.jsonl")
    assert b"paused" in old.read_bytes()


def test_a_hospital_that_pauses_begins_nothing_finishes_sums_and_says_so(folder: HospitalFolder) -> None:
    study = secure_study()
    ward = Ward(folder, note=hospital_log(folder).note)
    question = PrepareRequest(study.digest(), False, bytes(16)).parts()
    assert run(folder, "pause").exit_code == 0
    for kind in ("propose", "prepare", "train", "evaluate"):
        with pytest.raises(PausedError):
            ward.answer(kind, question)
    for kind in ("confirm", "open"):  # not refused for the pause: no such study was proposed
        with pytest.raises(ApprovalError):
            ward.answer(kind, question)
    with pytest.raises(PausedError):  # it survives a restart
        Ward(folder).answer("propose", ProposeRequest(study).parts())
    assert run(folder, "resume").exit_code == 0
    assert ward.answer("propose", ProposeRequest(study).parts()).parts().fields["decision"] == "waiting"
    assert [what for what in whats(folder) if what in ("paused", "resumed")] == ["paused", "resumed"]


def test_pausing_twice_is_one_pause_and_the_status_shows_it(folder: HospitalFolder) -> None:
    with at_work(folder.path, "waiting") as service:
        for _ in range(2):
            assert run(folder, "pause").exit_code == 0
        assert service.status().shown[0] == "paused"
        assert run(folder, "status").stdout.startswith("paused since")
        service._report(Status(State.WORKING, 0.0))
        assert "no new work is started" in run(folder, "status").stdout
        assert run(folder, "resume").exit_code == 0
        assert service.status().shown[0] == "working"
    assert whats(folder) == ["paused", "resumed"]
