"""What a hospital keeps of its secure sums is put back as an older copy: the audit log beside it says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import pytest
from test_run import phantom_study

from consortium import RUN, Group
from served import approve, listing, set_up
from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.hospital.secure_desk import Desk
from wardround_client.service.ward import Ward
from wardround_client.spending.ledger.told import Answers, read_told
from wardround_common.audit.log import AuditLog
from wardround_common.audit.passage import COORDINATOR, Passage
from wardround_common.audit.recorder import Recorder
from wardround_common.errors import StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import PrepareRequest
from wardround_common.secagg.terms import What

STEPS = (
    *((what, number, step) for number in (1, 2) for what in ("train", "evaluate") for step in ("upload", "confirm")),
    *(("vote", number, "vote") for number in (1, 2)),
)
Step = tuple[What | Literal["vote"], int, str]


class Kept:
    """One hospital's desk and log, with a copy of the desk as it was before each answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.group = folder, Group(folder)
        self.log = AuditLog(folder / "audit", Identity(b"m" * 32), "hospital", "a")
        self.copies: list[Path] = []
        self.signatures: list[str] = []

    @property
    def desk(self) -> Desk:
        return self.group.desk("a")

    def answers(self) -> Answers:
        told = read_told(self.folder / "audit")
        return told.answers.get(self.group.study.digest()[:12], Answers())

    def copy(self) -> Path:
        return Path(shutil.copytree(self.folder / "a", self.folder / f"copy-{len(self.copies)}"))

    def went_out(self, kind: str, number: int, content: str, failure: str = "") -> None:
        """Note an answer as the service does, just before it goes out."""
        study, name = self.group.study.digest(), f"{kind} {number} {content} {failure}"
        Recorder(self.log)(Passage("out", COORDINATOR, kind, content, 9, name, study, number, failure))

    def do(self, step: Step) -> None:
        self.copies.append(self.copy())
        what, number, how = step
        if what == "vote":
            _, signature = self.desk.vote(number, b"models", lambda: True)
            self.went_out("vote", number, signature.hex())
        elif how == "upload":
            self.group.upload("a", what, number)
            self.went_out(what, number, f"{what} {number}")
        else:
            gathering = self.group.gathering(number, what)
            for name in self.group.names:
                gathering.add(name, self.group.upload(name, what, number))
            signature = self.desk.confirm(what, number, gathering.close().question())
            self.signatures.append(signature.hex())
            self.went_out("confirm", number, signature.hex())


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_what_knows_every_answer_is_whole_also_if_one_went_out_twice_or_was_a_failure(kept: Kept) -> None:
    kept.desk.check_reaches(kept.answers())
    for step in STEPS:
        kept.do(step)
        kept.desk.check_reaches(kept.answers())
    kept.went_out("confirm", 2, kept.signatures[-1])  # again, after a restart
    kept.went_out("evaluate", 3, "no answer", failure="data")
    kept.desk.check_reaches(kept.answers())
    assert kept.answers() == Answers({"train": 2, "evaluate": 2, "vote": 2}, (2, 2))


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: " ".join(map(str, STEPS[number])))
def test_a_copy_of_before_any_answer_that_went_out_is_found(kept: Kept, number: int) -> None:
    for step in STEPS[: number + 1]:
        kept.do(step)
    shutil.rmtree(kept.folder / "a")
    shutil.copytree(kept.copies[number], kept.folder / "a")
    with pytest.raises(StorageError, match="older than the audit log") as caught:
        kept.desk.check_reaches(kept.answers())
    assert "wardround hospital refuse STUDY" in str(caught.value.do)


def test_a_service_that_starts_with_an_older_copy_takes_no_part_in_the_study(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ("hospital-a", "hospital-b", "hospital-c")
    wards = {name: set_up(tmp_path / name, name, hospitals / name) for name in names}
    of = listing(phantom_study(aggregation={"secure": True}), wards)
    ward, question = wards["hospital-a"], PrepareRequest(of.digest(), send_parameters=False, run=RUN).parts()
    approve(ward, of)
    ward.answer("prepare", question)
    log = Recorder(hospital_log(ward.folder))
    log(Passage("out", COORDINATOR, "evaluate", "0" * 64, 9, "1" * 64, "f" * 64, 1))  # of another study
    Ward(ward.folder).answer("prepare", question)
    log(Passage("out", COORDINATOR, "evaluate", "2" * 64, 9, "3" * 64, of.digest(), 1))
    with pytest.raises(StorageError, match="older than the audit log"):
        Ward(ward.folder).answer("prepare", question)
