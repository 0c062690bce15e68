"""Slow, silent and returning hospitals over the real link: waited for as the study says, late answers dropped."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flwr.proto import fleet_pb2, message_pb2
from test_superlink import activate, reply
from typer.testing import CliRunner

from commanded import commanded
from consortium import secure_study
from examples import study
from link import Place, new_key, push_body, until
from wardround_client.hospital.app import client_app
from wardround_client.link.supernode import _envelope
from wardround_client.link.wire import NotWantedError
from wardround_common.errors import ApprovalError, RoundError
from wardround_common.messages.rounds import Failure, Parts, as_array
from wardround_common.results import ALL, FEDERATED
from wardround_common.secagg.terms import Member, write_members
from wardround_common.study.file import Study
from wardround_server.commands.coordinator_cli import app
from wardround_server.link.link_exchange import LinkExchange
from wardround_server.link.superlink import SuperLink
from wardround_server.rounds import approval, limits, muster
from wardround_server.rounds.exported_model import read_results
from wardround_server.rounds.limits import Clock, Limits
from wardround_server.service.enrolment_desk import begin
from wardround_server.service.export import check_over
from wardround_server.service.runs import Runs
from wardround_server.service.serving import Service
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wards import ONE_BY_ONE, Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")

DIGEST = "0" * 64
NO_TIME = Limits(0.0, 60.0)


@dataclass(frozen=True)
class Said:
    """An answer of a hospital that does nothing."""

    fields: dict[str, int | str]

    def parts(self) -> Parts:
        return Parts(self.fields)


@dataclass
class Desk:
    """A hospital that answers with the round that it was asked about; ``before`` may take its time."""

    name: str
    before: Callable[[int], object] = lambda number: None
    answered: list[int] = field(default_factory=list)

    def answer(self, kind: str, parts: Parts) -> Said:
        number = int(parts.fields["round"])  # type: ignore[arg-type]
        self.before(number)
        self.answered.append(number)
        return Said({"study": DIGEST, "round": number})


@dataclass
class Room:
    """A coordinator with three hospitals and one run."""

    place: Place
    link: SuperLink
    run: int
    folder: Path

    def exchange(self, deadline_s: float, patience_s: float = 60.0, clock: Clock | None = None) -> LinkExchange:
        grid = self.link.grid(self.run, float("inf"))
        exchange = LinkExchange(
            study(aggregation={"min_hospitals": 2}),
            self.link,
            grid,
            clock or Clock(self.folder / "asked"),
            threading.Event(),
        )
        exchange._limits = Limits(deadline_s, patience_s)
        return exchange

    def desk(self, name: str, before: Callable[[int], object] = lambda number: None) -> Desk:
        return Desk(name, before)


@contextmanager
def room(tmp_path: Path, *desks: Desk) -> Iterator[Room]:
    place = Place(tmp_path)
    with place.coordinator("mercy", "north", "south") as link, ExitStack() as hospitals:
        for desk in desks:
            hospitals.enter_context(place.hospital(desk.name, client_app(lambda context, desk=desk: desk)))  # type: ignore[misc]
        until(lambda: len(link.here()) == len(desks))
        yield Room(place, link, link.new_run(), tmp_path)


def ask(
    exchange: LinkExchange,
    number: int,
    names: Sequence[str] = ("mercy", "north", "south"),
    heard: dict[str, object] | None = None,
) -> dict[str, object]:
    """Ask a round and give the answers, each also as it comes in ``heard``."""
    heard = {} if heard is None else heard
    question = Parts({"study": DIGEST, "round": number})
    for name, answer in exchange.ask("train", dict.fromkeys(names, question)):
        heard[name] = answer.reason if isinstance(answer, Failure) else answer.fields["round"]
    return heard


def ask_until_two_answered(here: Room, exchange: LinkExchange, then: Limits) -> dict[str, object]:
    """Ask round 1, and let no time be left as soon as two answers are here, however slow this machine is."""
    heard: dict[str, object] = {}
    asking = threading.Thread(target=lambda: ask(exchange, 1, heard=heard))
    asking.start()
    until(lambda: len(heard) == 2)
    exchange._limits = then
    asking.join(60)
    return heard


def answers_here(link: SuperLink) -> int:
    with link.transaction():
        return int(link.state.query("SELECT count(*) AS number FROM message_res")[0]["number"])


def test_f5_a_slow_hospitals_answer_is_dropped_and_neither_ends_the_run_nor_is_taken_for_another_round(
    tmp_path: Path,
) -> None:
    let_go = threading.Event()
    slow = Desk("south", lambda number: number == 1 and let_go.wait(20))
    with room(tmp_path, Desk("mercy"), Desk("north"), slow) as here:
        exchange = here.exchange(deadline_s=60.0)
        assert ask_until_two_answered(here, exchange, NO_TIME) == {"mercy": 1, "north": 1, "south": "late"}
        second: dict[str, object] = {}
        other = here.exchange(deadline_s=20.0)  # the next round has time
        asking = threading.Thread(target=lambda: second.update(ask(other, 2)))
        asking.start()
        let_go.set()  # while round 2 is asked, it sends what it did for round 1
        asking.join(60)
        assert second == {"mercy": 2, "north": 2, "south": 2}
        assert slow.answered == [1, 2]
        assert answers_here(here.link) == 3  # those of round 2, until they are asked again


def test_nothing_of_an_answer_that_was_half_here_at_the_deadline_is_kept_or_read(tmp_path: Path) -> None:
    with room(tmp_path, Desk("mercy"), Desk("north")) as here, closing(here.place.wire("south")) as wire:
        node = activate(wire)
        exchange = here.exchange(deadline_s=60.0)
        heard: dict[str, object] = {}
        asking = threading.Thread(target=lambda: ask(exchange, 1, heard=heard))
        asking.start()
        pulled = fleet_pb2.PullMessagesResponse()

        def pull() -> bool:
            nonlocal pulled
            pulled = wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(node=node), fleet_pb2.PullMessagesResponse)
            return bool(pulled.messages_list)

        until(pull)
        root = pulled.message_object_trees[0].object_id
        parts = _envelope(node, reply(node.node_id, here.run, root, kind="train.train"))
        accepted = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        pushes = [
            message_pb2.PushObjectRequest(
                node=node,
                run_id=here.run,
                session_id=accepted.session_id,
                object_id=name.decode(),
                object_content=content,
            )
            for name, content in zip(parts[1::2], parts[2::2], strict=True)
            if name.decode() in accepted.objects_to_push
        ]
        wire.ask("push-object", push_body(pushes[0]), message_pb2.PushObjectResponse)
        until(lambda: len(heard) == 2)
        exchange._limits = NO_TIME
        asking.join(60)
        assert heard == {"mercy": 1, "north": 1, "south": "late"}
        with pytest.raises(NotWantedError, match="session"):
            wire.ask("push-object", push_body(pushes[1]), message_pb2.PushObjectResponse)
        with pytest.raises(NotWantedError, match="question"):
            wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        with here.link.transaction():
            for push in pushes:
                assert not here.link.objects.get(push.object_id)


def test_the_deadline_counts_from_when_the_round_was_asked_also_for_a_coordinator_that_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECONNECT_S", 0.3)
    let_go = threading.Event()
    with room(tmp_path, Desk("mercy"), Desk("north"), Desk("south", lambda number: let_go.wait(20))) as here:
        question = Parts({"study": DIGEST, "round": 1})
        answers = here.exchange(3600.0).ask("train", dict.fromkeys(("mercy", "north", "south"), question))
        assert {next(answers)[0], next(answers)[0]} == {"mercy", "north"}
        answers.close()  # type: ignore[attr-defined]  # here the process ended
        began = time.monotonic()
        hours_later = Clock(here.folder / "asked", wall=lambda: time.time() + 7200)
        again = ask(here.exchange(3600.0, clock=hours_later), 1)
        assert again == {"mercy": 1, "north": 1, "south": "late"}
        assert time.monotonic() - began < 10
        let_go.set()


def test_a_hospital_that_goes_and_comes_back_in_another_process_answers_what_it_was_asked(tmp_path: Path) -> None:
    first = Desk("south")
    with room(tmp_path, Desk("mercy"), Desk("north")) as here:
        with here.place.hospital("south", client_app(lambda context: first)):
            until(lambda: len(here.link.here()) == 3)
        assert here.exchange(60.0).hospitals() == ["mercy", "north"]  # it said that it goes
        heard: dict[str, object] = {}
        exchange = here.exchange(60.0, patience_s=20.0)
        asking = threading.Thread(target=lambda: heard.update(ask(exchange, 1)))
        asking.start()
        until(lambda: answers_here(here.link) == 2)
        second = Desk("south")
        with here.place.hospital("south", client_app(lambda context: second)):
            asking.join(60)
        assert heard == {"mercy": 1, "north": 1, "south": 1}
        assert (first.answered, second.answered) == ([], [1])


def test_a_hospital_that_is_silent_is_given_up_after_the_patience_and_a_revoked_one_at_once(tmp_path: Path) -> None:
    with room(tmp_path, Desk("mercy"), Desk("north")) as here:
        with closing(here.place.wire("south")) as wire:
            activate(wire)
        exchange = here.exchange(60.0)
        heard = ask_until_two_answered(here, exchange, Limits(60.0, 0.0))
        assert heard == {"mercy": 1, "north": 1, "south": "silent"}
        here.link.revoke("south")
        assert ask(here.exchange(60.0), 2) == {"mercy": 2, "north": 2, "south": "revoked"}


def test_how_many_must_open_a_sum_follows_from_the_cohort_that_began_it(tmp_path: Path) -> None:
    """Of a roster of five, four are there: three of them open a sum, and the fourth is not waited for until the end."""
    group = [Member(name, bytes(32), bytes(64)) for name in ("a", "b", "mercy", "north")]
    exchange = LinkExchange(
        secure_study(),
        None,  # type: ignore[arg-type]  # nobody is asked
        None,  # type: ignore[arg-type]
        Clock(tmp_path / "asked"),
        threading.Event(),
    )
    train = Parts({"study": DIGEST, "round": 1}, {"cohort": as_array(write_members(group))})
    assert exchange._cohort_of("train", {"mercy": train}) == 4
    confirm = Parts({"study": DIGEST, "round": 1, "what": "train"})
    assert exchange._cohort_of("confirm", {"mercy": confirm, "north": confirm}) == 4
    assert limits.needed_of(secure_study(), "confirm", 4, 4) == 3
    other = Parts({"study": DIGEST, "round": 1, "what": "evaluate"})
    assert exchange._cohort_of("confirm", {"mercy": other, "north": other}) == 2


class Brief(Limits):
    """Little patience."""

    @classmethod
    def of(cls, study: Study) -> Limits:
        return Limits(60.0, 0.3)


class Federation:
    """A run over the real link with hospitals that train; each can go and come back as another process."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
        monkeypatch.setattr(muster, "LOOK_S", 0.02)
        monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(60.0, 60.0)))
        monkeypatch.setattr(muster, "Limits", Brief)  # who has gone is not waited for when a round begins
        self.place = Place(tmp_path)
        self.place.keys = {name: new_key() for name in "abc"}
        self.folder = tmp_path / "wards"
        self.wards = Wards(self.folder)
        self.gate: dict[int, threading.Event] = {}
        """By round: before its training is answered by hospital a, this must happen."""

    @contextmanager
    def serving(self) -> Iterator[Runs]:
        with self.place.coordinator(*"abc") as link:
            run = link.new_run()
            self.runs = Runs(
                self.place.folder / "runs",
                lambda driven: LinkExchange(
                    driven.study, link, link.grid(run, float("inf")), Clock(driven.folder / "asked"), driven.stop
                ),
            )
            self.link = link
            yield self.runs

    @contextmanager
    def hospital(self, name: str) -> Iterator[None]:
        with self.place.hospital(name, client_app(lambda context: self._at(name))):
            yield

    def _at(self, name: str) -> object:
        federation = self

        class At:
            def answer(self, kind: str, parts: Parts) -> object:
                if name == "a" and kind == "train":
                    number = int(parts.fields["round"])  # type: ignore[arg-type]
                    federation.gate.get(number, _NEVER_WAITS).wait(20)
                with ONE_BY_ONE:
                    answer = federation.wards._answer(name, kind, parts)
                if isinstance(answer, Failure):
                    raise ApprovalError("as the test wants it")
                return _Given(answer)

        return At()


@dataclass(frozen=True)
class _Given:
    given: Parts

    def parts(self) -> Parts:
        return self.given


_NEVER_WAITS = threading.Event()
_NEVER_WAITS.set()


@pytest.mark.slow
def test_a_hospital_that_was_away_for_some_rounds_takes_part_again_and_the_run_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_of = Federation(tmp_path, monkeypatch)
    all_of.gate = {2: threading.Event(), 4: threading.Event()}
    with all_of.serving() as runs, all_of.hospital("a"), all_of.hospital("b"):
        with all_of.hospital("c"):
            until(lambda: len(all_of.link.here()) == 3)
            runs.begin(rostered(rounds=5, secure=False))
            in_round_2 = {"a": "asked", "b": "answered", "c": "answered"}
            until(lambda: (runs.standings()[0].round, runs.standings()[0].hospitals) == (1, in_round_2))
        all_of.gate[2].set()
        until(lambda: runs.standings()[0].round == 3)
        assert runs.standings()[0].said == "c was missing in 1 of 3 rounds: 3 (away)"  # said while the run continues
        with all_of.hospital("c"):
            until(lambda: len(all_of.link.here()) == 3)
            all_of.gate[4].set()
            runs.wait(30)
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("incomplete", 5)
    # Whether it was back in time for round 4 is up to the machine.
    assert re.fullmatch(r"c was missing in (1 of 5 rounds: 3|2 of 5 rounds: 3-4) \(away\)", standing.said)


def test_a_hospital_that_comes_when_the_rounds_have_begun_is_prepared_and_takes_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the coordinator during which a hospital was away: it has approved, and is no stranger."""
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(30.0, 0.05)))
    wards = Coming(tmp_path / "wards")
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=4))
    runs.wait()
    (standing,) = runs.standings()
    assert standing.said == "c was missing in 1 of 4 rounds: 1 (away)"
    assert wards.asked["c"][:3] == ["propose", "prepare", "train"]


class Coming(Wards):
    """Hospitals of which c is away from its approval until the first round is complete."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: dict[str, list[str]] = {name: [] for name in "abc"}
        self.away = False

    def hospitals(self) -> Sequence[str]:
        return ["a", "b"] if self.away else list("abc")

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name in questions:
            self.asked[name].append(kind)
        yield from super().ask(kind, questions)
        self.away = self.asked["a"].count("train") == 0 or (self.away and kind != "train")


def test_a_round_that_lost_a_hospital_for_good_is_given_up_when_the_coordinators_people_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(0.5, 0.05)))
    wards = Coming(tmp_path / "wards")
    wards.hospitals = lambda: [name for name in "abc" if name not in gone]  # type: ignore[method-assign]
    gone: set[str] = set()

    def fail(name: str, kind: str) -> bool:
        if kind == "open" and runs.standings()[0].round == 1:
            gone.add("c")  # after it confirmed
            return name != "a"  # and too few open
        return False

    wards.fail = fail
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=3, min_hospitals=2))
    runs.wait()
    assert runs.standings()[0].stage == "failed"
    wards.fail = lambda name, kind: False
    runs.resume("test")
    runs.wait()
    assert runs.standings()[0].stage == "failed"
    assert "not all of them are there again" in runs.standings()[0].said
    assert f"skip the round: wardround coordinator resume {tmp_path} test --give-up" in runs.standings()[0].said
    runs.resume("test", give_up=True)
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round, standing.give_up) == ("incomplete", 3, False)
    assert "given up: round 2" in standing.said
    assert "c was missing in 2 of 3 rounds" in standing.said


@pytest.mark.parametrize("secure", [True, False])
def test_a_run_whose_hospitals_train_no_more_is_finished_with_the_model_of_its_last_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: kind == "train" and runs.standings()[0].round == spent_after
    spent_after = 0
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=4, secure=secure))
    runs.wait()
    with pytest.raises(RoundError, match="no round of the run 'test' counted: there is no model"):
        runs.resume("test", finish=True)
    spent_after = 2
    runs.resume("test")
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("failed", 2)
    finish = f"end with the model of round 2: wardround coordinator resume {tmp_path} test --finish"
    assert finish in standing.said
    runs.resume("test", finish=True)
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("incomplete", 2)
    assert "the run was ended early, after round 2 of 4" in standing.said
    results = read_results(tmp_path / "runs/test")
    assert [record.number for record in results.rounds] == [1, 2]
    assert results.evaluation[FEDERATED][ALL]
    assert "The run was ended early, after round 2 of 4." in results.notes
    check_over(tmp_path / "runs/test")


def test_a_run_that_ends_while_it_is_finished_is_still_finished_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    wards = Wards(tmp_path / "wards")
    wards.fail = lambda name, kind: kind == "train" and runs.standings()[0].round == 1
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=3))
    runs.wait()
    with monkeypatch.context() as patch:
        patch.setattr(Runs, "_drive", lambda self, run: None)  # the process ends here
        runs.resume("test", finish=True)
    wards.fail = lambda name, kind: False  # they would train again
    again = Runs(tmp_path / "runs", lambda run: wards)
    again.go_on()
    again.wait()
    (standing,) = again.standings()
    assert (standing.stage, standing.round) == ("incomplete", 1)


def test_a_service_finishes_a_run_whose_hospitals_are_gone_and_it_stays_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(0.1, 0.05)))
    folder, wards = CoordinatorFolder(tmp_path / "C"), Wards(tmp_path / "wards")
    begin(folder, ["127.0.0.1"], 9093, datetime.now(UTC))
    wards.fail = lambda name, kind: kind == "train" and runs.standings()[0].round == 1
    runs = Runs(folder.path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=3))
    runs.wait()
    service = Service(folder, lambda *_, **__: None)
    service._runs.go_on()
    service.resume("test", give_up=False, finish=True)
    service._runs.wait(30)
    (standing,) = service._runs.standings()
    assert (standing.stage, standing.round) == ("incomplete", 1)
    assert "the run was ended early, after round 1 of 3" in standing.said
    assert "the model was not judged on test patients: too few hospitals for a round: 0 of 3" in standing.said
    check_over(folder.path / "runs/test")


@pytest.mark.slow
def test_a_run_waits_for_no_approval_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their signatures are kept: a run that goes on begins although a hospital is away, and asks nobody again."""
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(0.5, 0.05)))
    wards = Coming(tmp_path / "wards")
    wards.fail = lambda name, kind: kind == "prepare"
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered())
    runs.wait()
    assert runs.standings()[0].stage == "failed"
    kept_approvals = approval.ApprovalBook(tmp_path / "runs/test/approvals").signatures()
    assert set(kept_approvals) == set("abc")
    assert all(len(signature) == 64 for signature in kept_approvals.values())
    wards.fail = lambda name, kind: False
    runs.resume("test")
    runs.wait()
    assert runs.standings()[0].stage in ("done", "incomplete")
    assert [wards.asked[name].count("propose") for name in "abc"] == [1, 1, 1]


def test_an_approval_that_was_kept_and_altered_is_none(tmp_path: Path) -> None:
    from consortium import identity

    book = approval.ApprovalBook(tmp_path / "approvals")
    for name in "abc":
        book.add(name, bytes(64))
    told: list[Mapping[str, str]] = []
    stop = threading.Event()
    stop.set()
    keys = {name: identity(name).public for name in "abc"}
    nobody = Coming(tmp_path / "wards")
    nobody.hospitals = lambda: []  # type: ignore[method-assign]
    with pytest.raises(Exception, match="stopped while it waited"):
        approval.wait_for_approvals(rostered(), nobody, keys, told.append, stop, None, book)
    assert told == [dict.fromkeys("abc", "away")]


def test_giving_up_and_finishing_are_said_on_the_command_line_and_reaches_the_service(tmp_path: Path) -> None:
    with commanded(tmp_path) as here:
        for extra in ([], ["--give-up"], ["--finish"]):
            done = CliRunner().invoke(app, ["resume", str(tmp_path), "lung", "--detach", *extra])
            assert done.exit_code == 0, done.output
    given = [(False, False), (True, False), (False, True)]
    assert here.commanded.asked == [("resume", "lung", *one) for one in given]
