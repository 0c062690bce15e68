"""Short questions are answered while a long one is worked on; long ones are a queue; a crash loses neither."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from consortium import secure_study
from link import Place, private_pem, question, record, until, vector_of
from wardround_client.hospital.app import beside
from wardround_client.link.mailbox import Mailbox
from wardround_client.link.supernode import State, Supernode
from wardround_client.service.ward import Ward
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.messages.rounds import Parts

VECTOR = np.arange(5.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def short(node: int, number: int = 0) -> Message:
    return Message(record(VECTOR + number), dst_node_id=node, message_type="query.confirm")


class Working:
    """An app whose long answers wait until they are let go, and that counts how many are made at a time."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.begun: list[float] = []
        self.most = 0
        self._now = 0
        self.app = ClientApp()

        @self.app.query("echo")
        def long(message: Message, context: Context) -> Message:
            self._now += 1
            self.most = max(self.most, self._now)
            self.begun.append(float(vector_of(message)[0]))
            assert self.let_go.wait(30)
            self._now -= 1
            return Message(record(2 * vector_of(message)), reply_to=message)

        @self.app.query("confirm")
        def confirm(message: Message, context: Context) -> Message:
            return Message(record(3 * vector_of(message)), reply_to=message)


@contextmanager
def hospital(place: Place, app: ClientApp, **more: Any) -> Iterator[Supernode]:
    node, stop = Supernode(place.link("mercy"), app, place.folder / "mercy", **more), threading.Event()
    thread = threading.Thread(target=node.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield node
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_a_confirm_of_one_study_is_answered_while_another_study_trains(place: Place) -> None:
    working = Working()
    with place.coordinator("mercy") as link, hospital(place, working.app) as mercy:
        until(link.here)
        [node] = link.here()
        training, other = (link.grid(link.new_run()) for _ in range(2))
        [long] = training.push_messages([question(node, VECTOR)])
        until(lambda: working.begun)
        [came] = other.send_and_receive([short(node)], timeout=20)
        np.testing.assert_array_equal(vector_of(came), 3 * VECTOR)
        assert training.pull_messages([long]) == []
        assert mercy.status.state == State.WORKING
        working.let_go.set()
        until(lambda: training.pull_messages([long]))
        until(lambda: mercy.status.state == State.WAITING)
        assert Mailbox(place.folder / "mercy" / "inbox").names() == []


def test_long_questions_of_several_studies_are_worked_on_one_at_a_time_in_their_order(place: Place) -> None:
    working = Working()
    with place.coordinator("mercy") as link, hospital(place, working.app):
        until(link.here)
        [node] = link.here()
        asked = []
        for number in range(3):
            grid = link.grid(link.new_run())
            asked.append((grid, grid.push_messages([question(node, VECTOR + number)])))
        [came] = link.grid(link.new_run()).send_and_receive([short(node)], timeout=20)  # it overtakes those that wait
        assert not came.has_error()
        assert working.begun == [0.0]
        working.let_go.set()
        for grid, ids in asked:
            until(lambda grid=grid, ids=ids: grid.pull_messages(ids))
    assert working.begun == [0.0, 1.0, 2.0]
    assert working.most == 1


@pytest.mark.slow
def test_a_long_question_that_is_taken_back_while_another_is_worked_on_costs_nothing(place: Place) -> None:
    working = Working()
    with place.coordinator("mercy") as link, hospital(place, working.app) as mercy:
        until(link.here)
        [node] = link.here()
        runs = [link.new_run() for _ in range(2)]
        grids = [link.grid(run) for run in runs]
        first = grids[0].push_messages([question(node, VECTOR)])
        until(lambda: working.begun)
        grids[1].push_messages([question(node, VECTOR + 1)])
        link.grid(link.new_run()).send_and_receive([short(node)], timeout=20)
        link.end_run(runs[1])
        working.let_go.set()
        until(lambda: grids[0].pull_messages(first))
        until(lambda: mercy.status.state == State.WAITING)
        link.grid(link.new_run()).send_and_receive([short(node)], timeout=20)
    assert working.begun == [0.0]


def test_a_short_question_that_cannot_be_answered_beside_a_long_one_waits_for_its_end(place: Place) -> None:
    working, told = Working(), []

    def may(kind: str, parts: Parts) -> bool:
        told.append((kind, sorted(parts.arrays)))
        return False

    with place.coordinator("mercy") as link, hospital(place, working.app, beside=beside(may)):
        until(link.here)
        [node] = link.here()
        training, other = (link.grid(link.new_run()) for _ in range(2))
        training.push_messages([question(node, VECTOR)])
        until(lambda: working.begun)
        [waits] = other.push_messages([short(node)])
        until(lambda: told)
        assert other.pull_messages([waits]) == []
        working.let_go.set()
        until(lambda: other.pull_messages([waits]))
    assert set(map(str, told)) == {"('confirm', ['vector'])"}


SERVE = """
import sys, threading, time
from pathlib import Path
from flwr.clientapp import ClientApp
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Link
address, authority, key, folder = sys.argv[1:]
app = ClientApp()

def stuck(name):
    def answer(message, context):
        (Path(folder) / name).touch()
        time.sleep(600)
    return answer

app.query("echo")(stuck("long"))
app.query("confirm")(stuck("short"))
Supernode(Link(address, Path(authority), Path(key).read_bytes()), app, Path(folder)).run(threading.Event())
"""


def test_kill_9_in_both_lanes_at_once_leaves_both_questions_to_be_worked_on_again(place: Place) -> None:
    key, own = place.folder / "mercy.key", place.folder / "mercy"
    key.write_bytes(private_pem(place.keys["mercy"]))
    with place.coordinator("mercy") as link:
        [node] = link.nodes()
        grids = [link.grid(link.new_run()) for _ in range(2)]
        ids = [grids[0].push_messages([question(node, VECTOR)]), grids[1].push_messages([short(node)])]
        arguments = [place.address, str(place.authority.certificate), str(key), str(own)]
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        try:
            until(lambda: (own / "long").exists() and (own / "short").exists(), 60)
        finally:
            process.kill()
            process.wait()
        assert len(Mailbox(own / "inbox").names()) == 2
        working = Working()
        with hospital(place, working.app):
            # The short one does not wait for the long one, though it was not this process that took them.
            until(lambda: grids[1].pull_messages(ids[1]))
            assert grids[0].pull_messages(ids[0]) == []
            working.let_go.set()
            until(lambda: grids[0].pull_messages(ids[0]))


def test_what_ends_the_queue_ends_the_link_and_leaves_the_question(place: Place) -> None:
    class Killed(BaseException):
        pass

    app = ClientApp()

    @app.query("echo")
    def answer(message: Message, context: Context) -> Message:
        raise Killed

    with place.coordinator("mercy") as link:
        [node] = link.nodes()
        link.grid(link.new_run()).push_messages([question(node, VECTOR)])
        with pytest.raises(Killed):
            Supernode(place.link("mercy"), app, place.folder / "mercy").run(threading.Event())
    assert len(Mailbox(place.folder / "mercy" / "inbox").names()) == 1


def test_only_what_opens_the_sum_of_an_open_study_that_is_not_at_work_goes_beside(tmp_path: Path) -> None:
    study, ward = secure_study(), Ward(HospitalFolder(tmp_path))
    of = Parts({"study": study.digest()})
    assert ward.beside("propose", Parts({}))
    assert not ward.beside("confirm", of)  # to open it reads its data
    ward._open[study.digest()] = None  # type: ignore[assignment]  # open
    lock = ward._at_work[study.digest()] = threading.Lock()
    assert ward.beside("confirm", of)
    assert ward.beside("open", of)
    assert not ward.beside("train", of)
    assert not ward.beside("confirm", Parts({}))
    with lock:
        assert not ward.beside("confirm", of)
