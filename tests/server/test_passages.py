"""What both ends tell of each message: the same name, size and fields, before it passes; or it does not pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

import wardround_client.link.supernode as supernode
from link import Place, echo, question, until
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Heart
from wardround_common.audit.passage import Passage
from wardround_common.errors import StorageError
from wardround_server.link.superlink import SuperLink

STUDY = "5" * 64


class Told(list[Passage]):
    """Keeps what it is told; the disk is full as long as ``full`` is set."""

    full = False

    def __call__(self, passage: Passage) -> None:
        if self.full:
            raise StorageError("the disk is full")
        self.append(passage)

    def ways(self) -> list[str]:
        return [passage.way for passage in self]


@contextmanager
def told(place: Place) -> Iterator[tuple[SuperLink, Told, Told]]:
    """Run a coordinator that tells; give it, what it tells, and whom a hospital may tell."""
    at_server = Told()
    with place.coordinator("mercy") as link:
        link._passed = at_server
        yield link, at_server, Told()


def asked(node: int) -> Message:
    fields = ConfigRecord({"study": STUDY, "round": 3})
    record = RecordDict({"fields": fields, "arrays": ArrayRecord({"vector": Array(np.arange(1000.0))})})
    return Message(record, dst_node_id=node, message_type="query.echo")


def test_both_ends_tell_the_same_of_each_message_and_of_its_receipt(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with told(place) as (link, server, client), place.hospital("mercy", passed=client):
        until(link.here)
        grid = link.grid(link.new_run())
        [reply] = grid.send_and_receive([asked(next(iter(link.nodes())))])
        until(lambda: len(client) == 3)
    assert sorted(server.ways()) == ["delivered", "in", "out"]
    assert client.ways() == ["in", "out", "delivered"]
    out, delivered, came = (next(p for p in server if p.way == way) for way in ("out", "delivered", "in"))
    assert (out.peer, out.kind, out.study, out.round) == ("mercy", "echo", STUDY, 3)
    assert out.bytes > 8000
    assert (client[0].content, client[0].bytes, client[0].study) == (out.content, out.bytes, STUDY)
    assert delivered.content == out.content
    assert (client[1].content, client[1].bytes) == (came.content, came.bytes)
    assert came.content == reply.content.object_id
    assert client[2].content == came.content


def test_an_answer_that_is_an_error_is_told_as_one(tmp_path: Path) -> None:
    def fails(message: Message) -> None:
        raise ValueError

    place = Place(tmp_path)
    with told(place) as (link, server, client), place.hospital("mercy", echo(before=fails), passed=client):
        until(link.here)
        grid = link.grid(link.new_run())
        grid.send_and_receive([question(next(iter(link.nodes())))])
        until(lambda: len(client) == 3)
    [came] = [passage for passage in server if passage.way == "in"]
    assert (came.failure, came.bytes) == ("crashed", 0)
    assert client[1].content == came.content


def test_nothing_passes_that_cannot_be_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with told(place) as (link, server, client):
        node = next(iter(link.nodes()))
        grid = link.grid(link.new_run())
        server.full = True
        with pytest.raises(StorageError, match="full"):
            grid.push_messages([question(node)])
        assert not link.state.query("SELECT 1 FROM message_ins")
        server.full, client.full = False, True
        [sent] = grid.push_messages([question(node)])
        seen: list[Message] = []
        with place.hospital("mercy", echo(seen), passed=client) as hospital:
            until(lambda: hospital.status.fault)
            assert "full" in str(hospital.status.fault)
            assert server.ways() == ["out"]
            assert not seen
            client.full = False
            until(lambda: grid.pull_messages([sent]))
        assert "in" in server.ways()


def test_an_answer_that_the_coordinator_cannot_log_is_not_taken(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with told(place) as (link, server, client):
        node = next(iter(link.nodes()))
        grid = link.grid(link.new_run())
        [sent] = grid.push_messages([question(node)])

        def full(message: Message) -> None:
            server.full = True

        with place.hospital("mercy", echo(before=full), passed=client) as hospital:
            until(lambda: hospital.status.fault)
            assert not grid.pull_messages([sent])
            server.full = False
            until(lambda: grid.pull_messages([sent]))
            until(lambda: "delivered" in client.ways())
        assert server.ways().count("in") == 1


def test_a_sign_of_life_carries_what_each_end_says_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernode, "HEARTBEAT_S", 0.05)
    heard_by_server: list[tuple[str, str | None]] = []
    heard_by_client: list[str | None] = []

    def heart(name: str, headers: Mapping[str, str]) -> dict[str, str]:
        heard_by_server.append((name, headers.get("x-test")))
        return {"x-test": "from the coordinator"}

    place = Place(tmp_path)
    with place.coordinator("mercy") as link:
        link.heart = heart
        own = Heart(lambda: {"x-test": "from mercy"}, lambda headers: heard_by_client.append(headers.get("x-test")))
        node = Supernode(place.link("mercy"), echo(), tmp_path / "mercy", heart=own)
        stop = threading.Event()
        thread = threading.Thread(target=node.run, args=(stop,), daemon=True)
        thread.start()
        until(lambda: heard_by_client)
        stop.set()
        thread.join(60)
    assert heard_by_server[0] == ("mercy", "from mercy")
    assert set(heard_by_client) == {"from the coordinator"}
