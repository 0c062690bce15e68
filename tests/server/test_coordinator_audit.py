"""The coordinator's audit log, and both ends' logs held against each other: who says what the other does not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from typer.testing import CliRunner

from consortium import identity
from examples import STUDY
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import NAME, AuditLog, lines
from wardround_common.audit.passage import COORDINATOR, Passage, Way
from wardround_common.audit.recorder import Recorder
from wardround_common.documents.enrolment import Request
from wardround_common.documents.proposal import Proposed, ProposeRequest, sign_approval
from wardround_common.errors import StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed
from wardround_server.commands.coordinator_cli import app
from wardround_server.rounds.approval import _standing
from wardround_server.service.coordinator_audit import NotedExchange, Passages, coordinator_log, note_export
from wardround_server.service.enrolment_desk import begin, enrol, renew, revoke
from wardround_server.state.coordinator_folder import CoordinatorFolder

NOW = datetime.now(UTC)
MERCY, NORTH = Identity(b"m" * 32), Identity(b"n" * 32)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorFolder:
    folder = CoordinatorFolder(tmp_path_factory.mktemp("C") / "C")
    begin(folder, ["fl.example.org"], 9093, NOW)
    enrol(folder, Request.make("mercy", MERCY, generate_private_key(SECP256R1()), NOW), NOW)
    return folder


@dataclass
class Clock:
    """Goes on by a minute at each entry."""

    now: datetime = field(default_factory=lambda: NOW - timedelta(days=1))

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def whats(log: AuditLog) -> list[str]:
    return [read_line(line).what for line in lines(log.folder)][1:]


def listing(*names: str) -> Study:
    tables = dict(STUDY) | {"roster": [Listed.of(name, identity(name).public).model_dump() for name in names]}
    return Study.model_validate(tables)


def run(folder: CoordinatorFolder, *arguments: str | Path) -> Result:
    """Run a command of ``audit``; the folder stands where DIR does."""
    return CliRunner().invoke(app, ["audit", *(str(folder.path) if word == "DIR" else str(word) for word in arguments)])


def test_who_was_enrolled_and_revoked_when_is_noted(tmp_path: Path) -> None:
    folder = CoordinatorFolder(tmp_path / "C")
    begin(folder, ["fl.example.org"], 9093, NOW)
    request = Request.make("mercy", MERCY, generate_private_key(SECP256R1()), NOW)
    for _ in range(2):
        enrol(folder, request, NOW)
    renew(folder, ["other.example.org"], None, NOW)
    revoke(folder, "mercy", NOW)
    log = coordinator_log(folder)
    assert whats(log) == ["hospital enrolled", "certificate renewed", "hospital invited again", "hospital revoked"]
    entry = read_line(list(lines(log.folder))[1])
    assert entry.facts == {"hospital": "mercy", "fingerprint": request.fingerprint, "request": request.digest()}


def test_a_model_that_leaves_is_noted_by_its_digest(empty: CoordinatorFolder, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"model")
    note_export(empty, "run", tmp_path / "model.safetensors")
    entry = read_line(list(lines(empty.path / NAME))[-1])
    assert entry.facts["model"] == "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"


class Answers:
    """An exchange with made-up answers."""

    def __init__(self, answers: Mapping[str, Parts | Failure]) -> None:
        self.answers = answers

    def hospitals(self) -> list[str]:
        return sorted(self.answers)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        yield from self.answers.items()


def test_approvals_and_refusals_are_noted_once_and_a_forged_one_is_not(tmp_path: Path) -> None:
    study = listing("a", "b", "c")
    first, second, third = (one.name for one in study.roster)
    forged = sign_approval(Identity(b"x" * 32), study, second)
    answers = {second: forged.parts(), third: Proposed(study.digest(), "refused").parts(), first: Failure("late")}
    log = AuditLog(tmp_path / "audit", Identity(b"c" * 32), "coordinator", "here")
    exchange = NotedExchange(Answers(answers), log.note)
    for _ in range(3):
        asked = dict.fromkeys(answers, ProposeRequest(study).parts())
        assert dict(exchange.ask("propose", asked)) == answers
    [entry] = [read_line(line) for line in lines(log.folder)][1:]
    assert (entry.what, entry.facts["hospital"]) == ("study refused", third)


def test_an_approval_is_noted_by_the_digest_of_its_signature(tmp_path: Path) -> None:
    study = listing("a", "b")
    approval = sign_approval(identity("a"), study, "a")
    log = AuditLog(tmp_path / "audit", Identity(b"c" * 32), "coordinator", "here")
    exchange = NotedExchange(Answers({"a": approval.parts()}), log.note)
    list(exchange.ask("propose", {"a": ProposeRequest(study).parts()}))
    [entry] = [read_line(line) for line in lines(log.folder)][1:]
    assert (entry.what, entry.facts["approval"]) == ("study approved", approval.signature_digest)


def test_a_hospital_that_paused_is_shown_so_and_not_as_failed(tmp_path: Path) -> None:
    study = listing("a", "b")
    assert _standing(study, "a", b"", Failure("paused")) == "paused"
    assert _standing(study, "a", b"", Failure("data")) == "failed"
    passages = Passages(AuditLog(tmp_path / "audit", Identity(b"c" * 32), "coordinator", "here"))
    passages(message("in", "mercy", 1, failure="paused"))
    passages(message("in", "mercy", 1, failure="paused"))
    passages(message("in", "north", 2))
    assert passages.held == {"mercy": "paused"}
    passages(message("in", "mercy", 3))
    assert passages.held == {}


def head_of(log: AuditLog) -> str:
    head = log.look()
    assert head
    return head.text()


def message(way: Way, peer: str, number: int, size: int = 100, failure: str = "") -> Passage:
    return Passage(way, peer, "train", f"{number:064x}", size, f"{number:064x}", "5" * 64, number, failure)


class Ends:
    """The log of the coordinator and that of mercy, with ten rounds in them; some entries may be left out or wrong."""

    def __init__(self, place: Path, folder: CoordinatorFolder) -> None:
        clock = Clock()
        self.folder = folder
        self.ours = AuditLog(place / "ours", folder.identity(), "coordinator", "here", clock=clock)
        self.theirs = AuditLog(place / "theirs", MERCY, "hospital", "mercy", clock=clock)
        self.file = place / "mercy.log"
        self._note_ours, self._note_theirs = Recorder(self.ours), Recorder(self.theirs)

    def rounds(self, *left_out: tuple[str, Way, int], sizes: Mapping[int, int] | None = None) -> None:
        for number in range(1, 11):
            if number == 7:
                self.ours.note("head received", {"with": "mercy", "head": head_of(self.theirs)})
            for side, way, which in (
                ("ours", "out", number),
                ("theirs", "in", number),
                ("ours", "delivered", number),
                ("theirs", "out", 100 + number),
                ("ours", "in", 100 + number),
                ("theirs", "delivered", 100 + number),
            ):
                if (side, way, which) not in left_out:
                    size = 100 if side == "ours" else (sizes or {}).get(which, 100)
                    note, peer = (self._note_ours, "mercy") if side == "ours" else (self._note_theirs, COORDINATOR)
                    note(message(way, peer, which, size))  # type: ignore[arg-type]
        self.ours.note("service ended")
        self.theirs.export(self.file)

    def compared(self, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
        from wardround_server.service import coordinator_audit

        monkeypatch.setattr(coordinator_audit, "coordinator_log", lambda folder: self.ours)
        return run(self.folder, "verify", "DIR", "--against", self.file, *options)


@pytest.fixture
def ends(tmp_path: Path, empty: CoordinatorFolder) -> Ends:
    return Ends(tmp_path, empty)


def test_two_logs_that_tell_of_the_same_messages_agree(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.rounds()
    done = ends.compared(monkeypatch)
    assert done.exit_code == 0, done.exception
    assert "20 messages are in both logs, with the same digest and size; none that must be is missing." in done.stdout


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        (
            ("theirs", "in", 5),
            "was confirmed by mercy, says the log of the coordinator; it is missing in the log of mercy",
        ),
        (("ours", "out", 5), "came in at mercy; the log of the coordinator has not sent it"),
        (("ours", "in", 105), "was confirmed by the coordinator, says the log of mercy; it is missing in the log of"),
        (("theirs", "out", 105), "came in at the coordinator; the log of mercy has not sent it"),
    ],
)
def test_a_message_that_one_side_left_out_of_its_log_is_named(
    ends: Ends, left_out: tuple[str, Way, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends.rounds(left_out)
    done = ends.compared(monkeypatch)
    assert isinstance(done.exception, StorageError)
    assert said in str(done.exception)
    assert f"train of round {left_out[2]}" in str(done.exception)
    own, other = map(json.loads, ends.compared(monkeypatch, "--json").stdout.splitlines())
    assert (own["whole"], other["whole"], other["of"], len(other["disagreements"])) == (True, True, "mercy", 1)


def test_a_message_of_another_size_is_named(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.rounds(sizes={5: 99})
    assert "has another size in the log of mercy" in str(ends.compared(monkeypatch).exception)


def test_a_message_of_the_last_minutes_is_left_to_a_later_export(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.rounds(("theirs", "in", 10), ("theirs", "out", 110), ("theirs", "delivered", 110), ("ours", "in", 110))
    done = ends.compared(monkeypatch)
    assert done.exit_code == 0, done.exception
    assert "1 is in one log only: before the other begins, or" in done.stdout


def test_a_message_that_was_sent_and_never_arrived_is_no_fault(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.rounds(("theirs", "in", 5), ("ours", "delivered", 5))
    assert ends.compared(monkeypatch).exit_code == 0


def test_a_log_that_was_written_anew_is_found_by_the_head_that_the_other_end_was_told(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends.rounds()
    anew = Ends(
        tmp_path / "anew", ends.folder
    )  # anyone who has the key of mercy leaves a message out, at the same times
    anew.rounds(("theirs", "out", 105))
    ends.file = anew.file
    said = str(ends.compared(monkeypatch).exception)
    assert "the log of mercy was rewritten since the coordinator was told of entry" in said


def test_a_log_that_began_again_or_was_cut_is_found_by_the_heads_that_were_told(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends.rounds()
    ends.ours.note("head went back", {"with": "mercy", "head": head_of(ends.theirs)})
    later = AuditLog(tmp_path / "later", MERCY, "hospital", "mercy", clock=Clock(NOW + timedelta(hours=1)))
    ends.file = tmp_path / "later.log"
    later.export(ends.file)
    said = str(ends.compared(monkeypatch).exception)
    assert "the log of mercy is not the first: the coordinator was told of entry 19 of it" in said
    assert "the log of mercy had gone back when the coordinator was told" in said
    cut = AuditLog(tmp_path / "cut", MERCY, "hospital", "mercy", clock=Clock())
    cut.note("paused")
    cut._clock = Clock(NOW + timedelta(hours=1))
    ends.file = tmp_path / "cut.log"
    cut.export(ends.file)
    assert "the log of mercy was cut off since the coordinator was told" in str(ends.compared(monkeypatch).exception)


def test_a_log_of_a_hospital_that_was_never_enrolled_is_refused(empty: CoordinatorFolder, tmp_path: Path) -> None:
    coordinator_log(empty).note("service began")
    for name, key in (("mercy", NORTH), ("north", MERCY)):
        file = tmp_path / f"{name}.log"
        AuditLog(tmp_path / name, key, "hospital", name).export(file)
        done = run(empty, "verify", "DIR", "--against", file)
        assert "no such hospital was ever enrolled here" in str(done.exception)
    forged = tmp_path / "forged.log"
    forged.write_bytes(
        (tmp_path / "mercy.log").read_bytes().replace(NORTH.public.hex().encode(), MERCY.public.hex().encode())
    )
    assert "is not what mercy signed" in str(run(empty, "verify", "DIR", "--against", forged).exception)


def test_the_commands_show_verify_export_and_give_a_head(empty: CoordinatorFolder, tmp_path: Path) -> None:
    shown = [json.loads(line) for line in run(empty, "DIR", "--json").stdout.splitlines()]
    assert [row["what"] for row in shown][:2] == ["log opened", "hospital enrolled"]
    head = run(empty, "head", "DIR").stdout.strip()
    assert "is whole" in run(empty, "verify", "DIR", "--head", head).stdout
    assert run(empty, "export", "DIR", tmp_path / "out.log").exit_code == 0
    assert json.loads(list(lines(tmp_path / "out.log"))[-1])["what"] == "log exported"
    assert run(CoordinatorFolder(tmp_path / "none"), "DIR").exit_code != 0
