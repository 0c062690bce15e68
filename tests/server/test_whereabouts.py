"""The coordinator shows what it knows of each hospital, and never takes silence for work."""

from __future__ import annotations

import threading
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

from flwr.proto import fleet_pb2, message_pb2
from rich.console import Console
from test_slow_hospitals import DIGEST, Desk, ask, room
from test_superlink import activate, reply

from link import push_body, until
from wardround_client.hospital.app import client_app
from wardround_client.link.supernode import _envelope
from wardround_common.audit.passage import Passage
from wardround_server.commands.status_screen import screen
from wardround_server.link.whereabouts import LastHeard, Whereabouts, link_state

STUDY, OTHER = "a" * 64, "b" * 64


def told(way: str, kind: str, study: str = STUDY, number: int | None = 1, peer: str = "mercy") -> Passage:
    return Passage(way, peer, kind, "", 0, "", study, number, "data" if not study else "")  # type: ignore[arg-type]


def test_each_step_of_a_question_is_told_apart_with_its_time() -> None:
    now = 100.0
    known = Whereabouts(lambda: now)
    assert known.of("mercy", STUDY) is None
    seen = []
    for way, kind in (
        *(("out", "prepare"), ("delivered", "prepare"), ("in", "prepare")),
        *(("out", "train"), ("delivered", "train"), ("in", "train")),
        *(("out", "confirm"), ("delivered", "confirm"), ("in", "confirm")),
    ):
        now += 1
        known(told(way, kind))
        doing = known.of("mercy", STUDY)
        assert doing is not None
        assert doing.since == now
        seen.append(doing.word)
    assert seen[1::3] == ["scanning", "training", "opening a sum"]
    assert (seen[::3], seen[2::3]) == (["asked"] * 3, ["waiting"] * 3)
    known(told("delivered", "propose", OTHER))
    assert known.of("mercy", OTHER) is None  # a proposal is no work


def test_a_receipt_that_comes_after_the_answer_begins_no_work() -> None:
    known = Whereabouts(lambda: 1.0)

    def word() -> str:
        doing = known.of("mercy", STUDY)
        return doing.word if doing else ""

    known(told("out", "train"))
    known(told("in", "train"))
    assert word() == "waiting"
    known(told("delivered", "train"))
    assert word() == "waiting"
    known(told("out", "train", number=2))
    known(told("delivered", "train", number=1))  # of the round before
    assert word() == "asked"
    known(told("delivered", "train", number=2))
    assert word() == "training"
    known(told("in", "train", number=2))
    known(told("out", "train", number=2))  # what it answered was lost
    known(told("delivered", "train", number=2))
    assert word() == "training"


def test_two_studies_and_two_hospitals_stand_apart_and_a_failure_that_names_no_study_ends_the_work() -> None:
    known = Whereabouts(lambda: 1.0)
    for study in (STUDY, OTHER):
        known(told("out", "train", study))
    known(told("delivered", "train", STUDY))
    known(told("delivered", "train", STUDY, peer="north"))
    words = [known.of(*key) for key in (("mercy", STUDY), ("mercy", OTHER), ("north", STUDY))]
    assert [doing and doing.word for doing in words] == ["training", "asked", "training"]
    known(told("in", "train", ""))
    words = [known.of(*key) for key in (("mercy", STUDY), ("mercy", OTHER), ("north", STUDY))]
    assert [doing and doing.word for doing in words] == ["waiting", "asked", "training"]


def test_an_answer_of_which_a_part_is_here_is_being_sent_and_an_old_part_says_nothing() -> None:
    known = Whereabouts(lambda: 50.0)
    known(told("delivered", "train"))
    assert known.of("mercy", STUDY, 60.0).word == "sending"  # type: ignore[union-attr]
    assert known.of("mercy", STUDY, 40.0).word == "training"  # type: ignore[union-attr]


def test_f3_and_f9_a_hospital_that_was_never_heard_is_never_called_anything_else(tmp_path: Path) -> None:
    heard = LastHeard(tmp_path / "heard.json")
    assert heard.of("mercy", {}) is None
    assert link_state(connected=False, held="", last_heard=None) == "never registered"
    heard.keep({"mercy": 1_000_000.0})
    heard.keep({"mercy": 1_000_010.0})  # too soon to be written again
    again = LastHeard(tmp_path / "heard.json")
    assert again.of("mercy", {}) == "1970-01-12T13:46:40+00:00"
    assert again.of("mercy", {"mercy": 1_000_020.0}) == "1970-01-12T13:47:00+00:00"
    assert link_state(connected=False, held="paused", last_heard="x") == "not heard"
    assert link_state(connected=True, held="paused", last_heard="x") == "paused"
    assert link_state(connected=True, held="images-away", last_heard="x") == "images away"
    assert link_state(connected=True, held="", last_heard="x") == "registered"
    heard.keep({"mercy": 1_000_010.0}, now=True)
    LastHeard(tmp_path / "heard.json" / "no-folder").keep({"mercy": 1.0}, now=True)  # cannot be kept, and ends nothing
    (tmp_path / "heard.json").write_text("[")
    assert LastHeard(tmp_path / "heard.json").of("mercy", {}) is None


def shown(status: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(screen(status))
    return console.export_text()


def test_the_screen_says_who_is_there_what_each_does_and_for_how_long() -> None:
    hospitals = [
        {"name": "mercy", "state": "registered", "last_heard": "2026-01-01T11:59:58+00:00"},
        {"name": "north", "state": "not heard", "last_heard": "2026-01-01T09:00:00+00:00"},
        {"name": "south", "state": "never registered", "last_heard": None},
    ]
    run = {
        "name": "lung",
        "digest": STUDY,
        "stage": "training",
        "since": "2026-01-01T11:00:00+00:00",
        "round": 1,
        "rounds": 5,
        "said": "north was missing in 1 of 1 rounds: 1 (late)",
        "hospitals": {"mercy": "asked", "north": "asked"},
        "doing": {
            "mercy": {"state": "training", "since": "2026-01-01T11:50:00+00:00", "round": 2},
            "north": {"state": "not heard", "since": "2026-01-01T09:00:00+00:00", "round": None},
        },
    }
    text = shown({"time": 1767268800.0, "hospitals": hospitals, "runs": [run]})
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = lines[lines.index("hospital link last heard") :] + lines  # after the run, which goes on
    assert lines[1:4] == [
        "mercy registered 2 s ago",
        "north not heard 3 h ago",
        "south never registered never",
    ]
    assert "mercy training 2 10 min" in lines
    assert "north not heard 3 h" in lines
    assert any("north was missing in 1 of 1 rounds: 1 (late)" in line for line in lines)


def test_over_the_link_a_question_is_asked_worked_on_sent_and_answered(tmp_path: Path) -> None:
    known, let_go = Whereabouts(), threading.Event()
    slow = Desk("south", lambda number: let_go.wait(20))

    def word(name: str) -> str:
        doing = known.of(name, DIGEST, here.link.sending.get(node_of[name]))
        return doing.word if doing else ""

    with room(tmp_path, Desk("mercy")) as here, closing(here.place.wire("north")) as wire:
        here.link._passed = known
        node_of = {name: node for node, name in here.link.nodes().items()}
        node = activate(wire)
        exchange = here.exchange(deadline_s=60.0)
        asking = threading.Thread(target=lambda: ask(exchange, 1), daemon=True)
        asking.start()
        until(lambda: (word("mercy"), word("north"), word("south")) == ("waiting", "asked", "asked"))
        with here.place.hospital("south", client_app(lambda context: slow)):
            until(lambda: word("south") == "training")
            let_go.set()
            until(lambda: word("south") == "waiting")
        pulled = wire.ask("pull-messages", fleet_pb2.PullMessagesRequest(node=node), fleet_pb2.PullMessagesResponse)
        root = pulled.message_object_trees[0].object_id
        taken = message_pb2.ConfirmMessageReceivedRequest(node=node, run_id=here.run, message_object_id=root)
        wire.ask("confirm-message-received", taken, message_pb2.ConfirmMessageReceivedResponse)
        assert word("north") == "training"
        parts = _envelope(node, reply(node.node_id, here.run, root, kind="train.train"))
        accepted = wire.ask("push-messages", parts[0], fleet_pb2.PushMessagesResponse)
        assert word("north") == "sending"
        for name, content in zip(parts[1::2], parts[2::2], strict=True):
            if name.decode() in accepted.objects_to_push:
                pushed = message_pb2.PushObjectRequest(
                    node=node,
                    run_id=here.run,
                    session_id=accepted.session_id,
                    object_id=name.decode(),
                    object_content=content,
                )
                wire.ask("push-object", push_body(pushed), message_pb2.PushObjectResponse)
        assert word("north") == "waiting"
        asking.join(60)
