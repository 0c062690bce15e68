"""A hospital's whole folder is restored from an older copy: it finds out before it works, and trains nothing."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
from flwr.app import Message

from link import Place, echo, question, until
from lived import Lived, named
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Heart
from wardround_client.service.heart import heart_of
from wardround_client.service.status import stopped_status
from wardround_client.service.ward import Ward
from wardround_client.spending.ledger.past import BEHIND, check_not_behind
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.log import AuditLog
from wardround_common.audit.witness import Witness
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import ApprovalError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.ledger_header import LEDGER_HEADER
from wardround_common.messages.rounds import Parts
from wardround_server.link.ledger_heads import LedgerHeads

FIRST = named("first")
TRAIN = Parts({"study": FIRST.digest(), "round": 2})


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Return a hospital that trained three rounds, of which a copy was made after the first."""
    lived = Lived(tmp_path_factory.mktemp("lived") / "mercy")
    lived.approve(FIRST)
    lived.train(FIRST, 1)
    lived.copy("older")
    lived.train(FIRST, 2, 3)
    return lived


@pytest.fixture
def lived(once: Lived, tmp_path: Path) -> Lived:
    shutil.copytree(once.place, tmp_path / "mercy")
    fresh = object.__new__(Lived)
    fresh.place, fresh.folder = tmp_path / "mercy", HospitalFolder(tmp_path / "mercy" / "state")
    return fresh


@pytest.fixture
def heads(tmp_path: Path) -> LedgerHeads:
    return LedgerHeads(tmp_path / "ledgers.json")


def heart(lived: Lived) -> Heart:
    """Return what a service that is started now says and hears with each heartbeat."""
    log = AuditLog(lived.place / "another log", Identity(b"m" * 32), "hospital", "mercy")
    return heart_of(lived.folder, Witness(log), b"c" * 32)


def beats(one: Heart, heads: LedgerHeads, times: int = 1) -> None:
    """Exchange heartbeats with the coordinator."""
    for _ in range(times):
        one.hears(heads.hears("mercy", one.says()))


def roll_back(lived: Lived) -> None:
    """Put last week's copy of the whole folder, audit log and all, in the place of what is there."""
    lived.state.rename(lived.place / "newer")
    shutil.copytree(lived.place / "older", lived.state)


def test_a_folder_that_was_rolled_back_as_a_whole_answers_no_question_of_a_study(
    lived: Lived, heads: LedgerHeads
) -> None:
    beats(heart(lived), heads, 2)
    with pytest.raises(Exception) as well:  # noqa: PT011  # this hospital has no policy: it came as far as that
        Ward(lived.folder).answer("train", TRAIN)
    assert "older" not in str(well.value)
    roll_back(lived)
    lived.ledger()  # intact, as far as anybody here can tell
    service = heart(lived)
    beats(service, heads)
    ward = Ward(lived.folder)
    for kind in ("prepare", "train", "evaluate", "confirm", "open"):
        with pytest.raises(StorageError, match="older than what was spent"):
            ward.answer(kind, TRAIN)
    assert ward.answer("propose", ProposeRequest(named("second")).parts())
    assert "--at-least" in str(stopped_status(lived.folder))
    beats(service, heads, 3)
    later = heart(lived)
    beats(later, heads)  # the coordinator keeps the later head as long as this one is behind
    with pytest.raises(StorageError):
        check_not_behind(lived.state)


def test_a_folder_that_is_rolled_back_under_its_service_is_found_however_often_it_is(
    lived: Lived, heads: LedgerHeads
) -> None:
    service = heart(lived)
    beats(service, heads, 2)
    assert LEDGER_HEADER in service.says()
    roll_back(lived)
    beats(service, heads)
    with pytest.raises(StorageError, match="older than what was spent"):
        check_not_behind(lived.state)
    assert LEDGER_HEADER not in service.says()
    shutil.rmtree(lived.state)
    shutil.copytree(lived.place / "older", lived.state)  # once more, and what was noted is gone
    beats(heart(lived), heads)  # the coordinator was not told of the older one meanwhile
    with pytest.raises(StorageError, match="older than what was spent"):
        check_not_behind(lived.state)


def test_a_rolled_back_ledger_goes_on_when_every_patient_is_charged_and_no_study_of_before_does(
    lived: Lived, heads: LedgerHeads
) -> None:
    beats(heart(lived), heads, 2)
    heads.clock = lambda: time.time() + 60.0  # all that follows is a minute later
    spent = lived.spent()
    roll_back(lived)
    beats(heart(lived), heads)
    with pytest.raises(StorageError, match="what was spent is not recorded here"):
        lived.well("ledger", "rebuild", "--yes")
    with pytest.raises(StorageError, match="less than what is recorded here already"):
        lived.well("ledger", "rebuild", "--yes", "--at-least", "0.001")
    cap = spent + 1
    said = lived.well("ledger", "rebuild", "--yes", "--at-least", str(cap))
    assert "as you state" in said
    assert lived.spent() >= cap
    assert not (lived.state / BEHIND).exists()
    again = heart(lived)
    beats(again, heads, 2)  # the later head is of before the ledger was rebuilt
    check_not_behind(lived.state)
    assert again.says()[LEDGER_HEADER] == lived.well("ledger", "head").strip()
    with pytest.raises(ApprovalError):
        Ward(lived.folder).answer("train", TRAIN)
    shutil.rmtree(lived.state)
    shutil.copytree(lived.place / "older", lived.state)  # once more, now from before the ledger was rebuilt
    beats(heart(lived), heads)
    with pytest.raises(StorageError):
        check_not_behind(lived.state)


def test_the_newer_folder_put_back_in_its_place_is_not_behind(lived: Lived, heads: LedgerHeads) -> None:
    beats(heart(lived), heads, 2)
    roll_back(lived)
    beats(heart(lived), heads)
    shutil.rmtree(lived.state)
    (lived.place / "newer").rename(lived.state)
    service = heart(lived)
    beats(service, heads, 2)
    check_not_behind(lived.state)
    lived.train(FIRST, 4)
    beats(service, heads, 2)
    check_not_behind(lived.state)


def test_of_two_copies_that_serve_the_one_that_spent_less_stops(lived: Lived, heads: LedgerHeads) -> None:
    copy = object.__new__(Lived)
    copy.place, copy.folder = lived.place, HospitalFolder(lived.copy("twin"))
    one, two = heart(lived), heart(copy)
    for service in (one, two, one, two):
        beats(service, heads)
    copy.train(FIRST, 4)
    for service in (two, one):
        beats(service, heads)
    check_not_behind(copy.state)
    with pytest.raises(StorageError, match="two copies of it serve"):
        check_not_behind(lived.state)


def test_an_answer_that_is_lost_on_the_way_hides_nothing(lived: Lived, heads: LedgerHeads) -> None:
    beats(heart(lived), heads, 2)
    roll_back(lived)
    service = heart(lived)
    heads.hears("mercy", service.says())
    beats(service, heads)
    with pytest.raises(StorageError):
        check_not_behind(lived.state)


@pytest.mark.parametrize("kept", ["", "nonsense", "9:ab 3", f"9:{'a' * 64}:{'b' * 128} 3", f"9:{'a' * 64}:{'b' * 128}"])
def test_a_coordinator_cannot_stop_a_hospital_with_a_head_that_it_did_not_sign(lived: Lived, kept: str) -> None:
    heart(lived).hears({LEDGER_HEADER: kept})
    check_not_behind(lived.state)


def test_what_hospitals_told_outlives_the_coordinators_process_and_a_damaged_file_is_nobodys(
    lived: Lived, heads: LedgerHeads
) -> None:
    beats(heart(lived), heads, 2)
    heads.keep(now=True)
    later = LedgerHeads(heads.path)
    assert later.hears("mercy", {}) == heads.hears("mercy", {}) != {}
    assert later.hears("north", {}) == {}
    for damaged in (b"", b"[1]", b'{"mercy": 1}', b'{"mercy": ["x y", 1]}'):
        heads.path.write_bytes(damaged)
        assert LedgerHeads(heads.path).hears("mercy", {LEDGER_HEADER: "1:2"}) == {}


def test_a_hospital_hears_the_coordinator_before_it_works(tmp_path: Path) -> None:
    order: list[str] = []
    app = echo(before=lambda message: order.append("work"))
    heard = Heart(hears=lambda headers: order.append("heard"))
    place = Place(tmp_path)
    with place.coordinator("mercy") as link:
        with place.hospital("mercy"):
            until(link.here)
        [node] = link.nodes()
        grid = link.grid(link.new_run())
        asked: list[Message] = [question(node)]
        [number] = grid.push_messages(asked)
        supernode = Supernode(place.link("mercy"), app, tmp_path / "mercy", lambda status: None, heart=heard)
        stop = threading.Event()
        thread = threading.Thread(target=supernode.run, args=(stop,), daemon=True)
        thread.start()
        until(lambda: grid.pull_messages([number]))
        stop.set()
        thread.join(60)
    assert order[:2] == ["heard", "work"]
