"""No study runs that the hospital's people did not approve, and no approval serves for anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event

import pytest

from consortium import identity, secure_study
from wardround_client.state.approvals import MOST_WAITING, Approvals
from wardround_common.documents.proposal import Proposed, ProposeRequest, sign_approval
from wardround_common.errors import ApprovalError, MessageError, RoundError, StorageError
from wardround_common.messages.rounds import Failure, Parts, as_array
from wardround_server.rounds import approval
from wardround_server.rounds.approval import ApprovalBook, Standing, wait_for_approvals

NAMES = ("a", "b", "c")
KEYS = {name: identity(name).public for name in NAMES}


class Wards:
    """Three hospitals with their decisions on disk; each asking is a chance for their people to do something."""

    def __init__(self, folder: Path, acts: Sequence[Mapping[str, str]] = ()) -> None:
        self.at = {name: Approvals(folder / name) for name in NAMES}
        self.acts = iter(acts)
        self.there: Sequence[str] = NAMES
        self.signs_as = {name: name for name in NAMES}

    def hospitals(self) -> Sequence[str]:
        return self.there

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name, question in questions.items():
            study = ProposeRequest.parse(question).study
            yield name, self.at[name].answer(study, name, identity(self.signs_as[name])).parts()
        for name, decision in next(self.acts, {}).items():
            self.at[name].decide(secure_study(), decision)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.0)


def test_a_run_begins_when_all_have_approved_and_says_for_whom_it_waits(tmp_path: Path) -> None:
    wards = Wards(tmp_path, [{"b": "approved"}, {"a": "approved"}, {}, {"c": "approved"}])
    told: list[Mapping[str, Standing]] = []
    approved = wait_for_approvals(secure_study(), wards, KEYS, told.append, Event())
    assert approved.hospitals() == list(NAMES)
    assert told == [
        {"a": "waiting", "b": "waiting", "c": "waiting"},
        {"a": "waiting", "b": "approved", "c": "waiting"},
        {"a": "approved", "b": "approved", "c": "waiting"},
        {"a": "approved", "b": "approved", "c": "approved"},
    ]


def test_who_approves_after_a_run_began_with_fewer_is_in_it_when_it_is_resumed(tmp_path: Path) -> None:
    wards = Wards(tmp_path, [{"a": "approved", "b": "approved"}, {"c": "approved"}])
    book = ApprovalBook(tmp_path / "approvals")

    def begin() -> Sequence[str]:
        study = secure_study()
        return wait_for_approvals(study, wards, KEYS, lambda told: None, Event(), least=2, book=book).hospitals()

    assert begin() == ["a", "b"]
    assert begin() == list(NAMES)


def test_a_hospital_that_is_away_is_not_waiting(tmp_path: Path) -> None:
    wards = Wards(tmp_path, [{"a": "approved", "b": "approved"}])
    wards.there = ("a", "b")
    told: list[Mapping[str, Standing]] = []
    approved = wait_for_approvals(secure_study(), wards, KEYS, told.append, Event(), least=2)
    assert told[0]["c"] == "away"
    wards.there = NAMES
    assert approved.hospitals() == ["a", "b"]  # it came later, and did not approve


def test_so_many_refusals_that_the_study_cannot_be_done_end_the_waiting(tmp_path: Path) -> None:
    wards = Wards(tmp_path, [{"a": "refused", "b": "approved"}])
    with pytest.raises(RoundError, match="needs 3 hospitals, and these refused it: a"):
        wait_for_approvals(secure_study(), wards, KEYS, lambda told: None, Event())


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(RoundError, match="stopped while it waited"):
        wait_for_approvals(secure_study(), Wards(tmp_path), KEYS, lambda told: None, stop)


def test_an_approval_with_anothers_key_is_no_approval(tmp_path: Path) -> None:
    wards = Wards(tmp_path, [dict.fromkeys(NAMES, "approved")])
    wards.signs_as["b"] = "c"
    told: list[Mapping[str, Standing]] = []
    wait_for_approvals(secure_study(), wards, KEYS, told.append, Event(), least=2)
    assert told[-1] == {"a": "approved", "b": "failed", "c": "approved"}


def test_a_replayed_approval_is_of_one_study_and_one_hospital() -> None:
    study, other = secure_study(), secure_study(min_hospitals=3)
    given = sign_approval(identity("a"), study, "a")
    given.check(study, "a", KEYS["a"])
    for wrong in (
        lambda: given.check(other, "a", KEYS["a"]),
        lambda: Proposed(other.digest(), "approved", given.signature).check(other, "a", KEYS["a"]),
        lambda: given.check(study, "b", KEYS["a"]),
        lambda: given.check(study, "a", KEYS["b"]),
        lambda: Proposed(study.digest(), "waiting").check(study, "a", KEYS["a"]),
    ):
        with pytest.raises(MessageError):
            wrong()


@pytest.mark.parametrize("damage", ["no study", "other digest", "garbage", "one byte"])
def test_a_proposal_that_is_not_what_it_says_is_refused(damage: str) -> None:
    parts = ProposeRequest(secure_study()).parts()
    canonical = parts.arrays["canonical"].tobytes()
    wrong = {
        "no study": Parts(parts.fields),
        "other digest": Parts({"study": "0" * 64}, parts.arrays),
        "garbage": Parts(parts.fields, {"canonical": as_array(b"{}")}),
        "one byte": Parts(parts.fields, {"canonical": as_array(canonical[:-1] + b" ")}),
    }[damage]
    with pytest.raises(MessageError):
        ProposeRequest.parse(wrong)


def test_a_changed_study_needs_its_own_approval(tmp_path: Path) -> None:
    approvals, study, changed = Approvals(tmp_path), secure_study(), secure_study(min_hospitals=3)
    approvals.propose(study)
    approvals.decide(study, "approved")
    assert approvals.approved(study.digest()) == study
    with pytest.raises(ApprovalError, match="this study was not proposed"):
        approvals.approved(changed.digest())
    approvals.propose(changed)
    with pytest.raises(ApprovalError, match="did not approve"):
        approvals.approved(changed.digest())
    approvals.decide(study, "refused")
    with pytest.raises(ApprovalError, match="did not approve"):
        approvals.approved(study.digest())


def test_a_decision_survives_that_the_study_is_proposed_again(tmp_path: Path) -> None:
    study = secure_study()
    Approvals(tmp_path).propose(study)
    Approvals(tmp_path).decide(study, "refused")
    assert Approvals(tmp_path).propose(study).decision == "refused"


def test_a_coordinator_cannot_fill_the_disk_with_proposals(tmp_path: Path) -> None:
    approvals = Approvals(tmp_path)
    for number in range(MOST_WAITING):
        approvals.propose(secure_study(min_hospitals=2, largest_weight=number + 1))
    with pytest.raises(MessageError, match="too many"):
        approvals.propose(secure_study(min_hospitals=3))


def test_a_study_that_was_edited_on_the_hospitals_disk_is_not_run(tmp_path: Path) -> None:
    approvals, study, other = Approvals(tmp_path), secure_study(), secure_study(min_hospitals=3)
    approvals.propose(study)
    approvals.decide(study, "approved")
    (tmp_path / f"{study.digest()}.study").write_bytes(other.canonical())
    with pytest.raises(StorageError, match="is damaged"):
        approvals.approved(study.digest())


def test_a_study_is_found_by_its_name_or_the_first_digits_of_its_digest(tmp_path: Path) -> None:
    approvals, study = Approvals(tmp_path), secure_study()
    approvals.propose(study)
    assert approvals.find(study.study.name).study == approvals.find(study.digest()[:6]).study == study
    approvals.propose(secure_study(min_hospitals=3))
    with pytest.raises(ApprovalError, match="2 proposed studies are meant"):
        approvals.find(study.study.name)
    with pytest.raises(ApprovalError, match="no proposed study is called 'x'"):
        approvals.find("x")


def test_a_study_that_was_put_right_is_meant_by_the_name_of_the_one_before(tmp_path: Path) -> None:
    approvals, wrong, right = Approvals(tmp_path), secure_study(), secure_study(min_hospitals=3)
    approvals.propose(wrong)
    approvals.decide(wrong, "refused")
    approvals.propose(right)
    name = right.study.name
    assert approvals.find(name, ("waiting",)).study == right
    with pytest.raises(ApprovalError) as several:
        approvals.find(name)
    for study, decision in ((wrong, "refused"), (right, "waiting")):
        assert f"{study.digest()[:12]} ({decision} since " in str(several.value)
