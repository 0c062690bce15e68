"""A coordinator whose files are damaged: what is damaged is named and left alone, and the rest goes on."""

from __future__ import annotations

import io
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from typer.testing import CliRunner

import wardround_server.service.serving as service
from asking import status_of
from examples import study
from link import _empty_database, question, until
from wardround_common.control.place import is_served
from wardround_common.documents.enrolment import Request
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.ledger_header import LEDGER_HEADER
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.messages.run_header import RUNS_HEADER
from wardround_common.shell.service_log import ServiceLog
from wardround_common.study.roster import Listed
from wardround_server.commands.coordinator_cli import app
from wardround_server.link.superlink import SuperLink
from wardround_server.service.enrolment_desk import begin, enrol, renew, revoke
from wardround_server.service.runs import Run
from wardround_server.service.serving import OTHER_KEY, Service
from wardround_server.state.coordinator_folder import UNSENT, CoordinatorFolder
from wardround_server.state.standings import Standings

NOW = datetime.now(UTC)
NODES = {name: generate_private_key(SECP256R1()) for name in ("mercy", "north", "south")}


def request(name: str) -> Request:
    return Request.make(name, Identity(name.encode().ljust(32)), NODES[name], NOW)


@dataclass
class Coordinator:
    """A coordinator's folder with two hospitals, and the service in it."""

    folder: CoordinatorFolder
    service: Service = field(init=False)
    log: io.StringIO = field(default_factory=io.StringIO)

    @contextmanager
    def serving(self) -> Iterator[SuperLink]:
        made = self.service = Service(self.folder, ServiceLog(stream=self.log).say)
        stop = threading.Event()
        thread = threading.Thread(target=made.serve, args=(stop, "127.0.0.1"), daemon=True)
        thread.start()
        try:
            until(lambda: is_served(self.folder.path))
            until(lambda: "serving hospitals" in self.log.getvalue())
            yield made._link
            assert thread.is_alive(), "the service ended"
        finally:
            stop.set()
            thread.join(60)

    def status(self) -> Any:
        return status_of(self.folder.path)

    def damage(self) -> str:
        return "\n".join(self.status()["damaged"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    monkeypatch.setattr(service, "LOOK_S", 0.02)
    folder = CoordinatorFolder(tmp_path / "C")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        begin(folder, ["127.0.0.1"], taken.getsockname()[1], NOW)
    (folder.path / "link").mkdir()
    shutil.copy(_empty_database(), folder.path / "link" / "superlink.db")
    for name in ("mercy", "north"):
        enrol(folder, request(name), NOW)
    return Coordinator(folder)


def test_a_second_service_of_one_folder_is_refused_and_only_the_first_clears_what_a_killed_one_left(
    here: Coordinator,
) -> None:
    left, packed = (here.folder.path / f"{UNSENT}{name}" for name in ("killed", "now"))
    left.mkdir()  # by a service that was killed while a browser took a release
    (left / "packed.zip").write_bytes(b"half")
    with here.serving():
        assert not left.exists()
        packed.mkdir()
        with pytest.raises(StorageError, match="another process is using this folder"):
            Service(here.folder, ServiceLog(stream=io.StringIO()).say).serve(threading.Event(), "127.0.0.1")
        assert packed.exists()
        assert [one["name"] for one in here.status()["hospitals"]] == ["mercy", "north"]


@pytest.mark.parametrize("which", ["request", "invitation"])
def test_one_hospitals_damaged_file_stops_no_coordinator_and_sends_nobody_away(here: Coordinator, which: str) -> None:
    path = here.folder.request_of("mercy") if which == "request" else here.folder.invitation_of("mercy")
    whole = path.read_bytes()
    with here.serving() as link:
        until(lambda: set(link.nodes().values()) == {"mercy", "north"})
        path.write_bytes(whole[:-9])
        until(lambda: path.name in here.damage())
        enrol(here.folder, request("south"), NOW)
        until(lambda: set(link.nodes().values()) == {"mercy", "north", "south"})
        assert here.log.getvalue().count(path.name) == 1  # said once, not every two seconds
    with here.serving() as link:  # started with the damage
        until(lambda: path.name in here.damage())
        assert set(link.nodes().values()) == {"mercy", "north", "south"}
        path.write_bytes(whole)
        until(lambda: not here.damage())
        revoke(here.folder, "mercy", NOW)
        until(lambda: set(link.nodes().values()) == {"north", "south"})


def test_a_damaged_request_without_a_copy_is_moved_away_and_its_hospital_is_out(here: Coordinator) -> None:
    path = here.folder.request_of("mercy")
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        path.write_bytes(b"{")
        until(lambda: path.name in here.damage())
        with pytest.raises(MessageError, match="this is no enrolment request") as caught:
            revoke(here.folder, "mercy", NOW)
        assert "move it away" in caught.value.do
        path.unlink()
        until(lambda: set(link.nodes().values()) == {"north"})


def test_a_damaged_record_of_a_revocation_lets_nobody_in_and_sends_nobody_away(here: Coordinator) -> None:
    enrol(here.folder, request("south"), NOW)
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 3)
        revoke(here.folder, "south", NOW)
        until(lambda: len(link.nodes()) == 2)
        [record] = here.folder.revoked.iterdir()
        kept = record.read_bytes()
        record.write_text("{")
        until(lambda: record.name in here.damage())
        for path, content in ((here.folder.request_of("south"), request("south").content()),):
            path.write_bytes(content)  # as a crash in the middle of the revocation leaves it
        with pytest.raises(StorageError, match="nobody is admitted until it can be read"):
            enrol(here.folder, request("south"), NOW)
        assert set(link.nodes().values()) == {"mercy", "north"}
        record.write_bytes(kept)
        until(lambda: "revoked hospital" not in here.damage())
        assert set(link.nodes().values()) == {"mercy", "north"}


@pytest.mark.parametrize("instead", ["nothing", "a file"])
def test_a_folder_of_hospitals_that_is_away_sends_nobody_away(here: Coordinator, instead: str) -> None:
    """A key that was revoked never comes back: what cannot be read must not be taken for empty."""
    place = here.folder.hospitals
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        place.rename(place.with_name("elsewhere"))
        if instead == "a file":
            place.write_bytes(b"")
        until(lambda: str(place) in here.damage())
        assert set(link.nodes().values()) == {"mercy", "north"}
        place.unlink(missing_ok=True)
        place.with_name("elsewhere").rename(place)
        until(lambda: not here.damage())
        assert set(link.nodes().values()) == {"mercy", "north"}


def test_a_hospital_whose_request_was_moved_away_comes_back_with_a_new_node_key(here: Coordinator) -> None:
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        here.folder.request_of("mercy").unlink()
        until(lambda: set(link.nodes().values()) == {"north"})
        key = generate_private_key(SECP256R1())
        enrol(here.folder, Request.make("mercy", Identity(b"mercy".ljust(32)), key, NOW), NOW)
        until(lambda: set(link.nodes().values()) == {"mercy", "north"})


def test_the_commands_speak_of_the_other_hospitals_and_name_the_damage(here: Coordinator) -> None:
    path = here.folder.request_of("mercy")
    path.write_bytes(b"{")
    for arguments in (["hospitals"], ["roster"]):
        said = CliRunner().invoke(app, [arguments[0], str(here.folder.path)])
        assert said.exit_code == 0, said.output
        assert "north" in said.stdout
        assert "mercy" not in said.stdout
        assert path.name in said.stderr
    with pytest.raises(MessageError, match="this is no enrolment request"):
        enrol(here.folder, request("mercy"), NOW)
    enrol(here.folder, request("south"), NOW)
    assert [one.name for one in renew(here.folder, [], 9094, NOW)] == ["north", "south"]


def test_a_damaged_run_is_shown_and_the_coordinator_serves(here: Coordinator) -> None:
    run = here.folder.path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    (run / "link").write_text("no number")
    with here.serving():
        until(lambda: "what was kept of a run is damaged" in here.damage())
        assert [one["name"] for one in here.status()["hospitals"]] == ["mercy", "north"]
        assert not (run / "link").exists()
    with here.serving():
        until(lambda: str(run) in here.damage())


def test_what_was_out_in_a_run_is_asked_anew_when_it_cannot_be_read(tmp_path: Path) -> None:
    shutil.copy(_empty_database(), tmp_path / "superlink.db")
    link = SuperLink(tmp_path)
    try:
        node = link.enrol("mercy", request("mercy").node_key.encode())
        run = link.new_run()
        [first] = link.grid(run).push_messages([question(node)])
        [path] = tmp_path.glob("run-*.json")
        for content in ("{", "[]", '{"a": 1}', "\udcff".encode("utf-8", "surrogateescape")):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            [again] = link.grid(run).push_messages([question(node)])
            assert again != first
    finally:
        link.stop()


def test_a_certificate_that_is_away_or_damaged_is_said_and_the_one_in_use_stays(here: Coordinator) -> None:
    path = here.folder.server_certificate
    with here.serving():
        kept = path.read_bytes()
        for wrong in (None, b"no certificate"):
            if wrong is None:
                path.unlink()
            else:
                path.write_bytes(wrong)
            until(lambda: "certificate" in here.damage())
            path.write_bytes(kept)
            path.chmod(0o600)  # its key is in it
            until(lambda: not here.damage())
        renew(here.folder, [], None, NOW)
        until(lambda: "the renewed certificate is in use" in here.log.getvalue())
    path.unlink()
    with pytest.raises(StorageError, match="the certificate is missing"):
        Service(here.folder, ServiceLog(stream=here.log).say).serve(threading.Event(), "127.0.0.1")


def test_a_broken_database_is_said_with_what_to_do_and_that_works(here: Coordinator) -> None:
    database = here.folder.path / "link" / "superlink.db"
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
    whole = database.read_bytes()
    for broken in (b"no database at all" * 100, whole[:5000], whole[:4096] + b"\xff" * (len(whole) - 4096)):
        for path in database.parent.glob("superlink.db*"):
            path.unlink()
        database.write_bytes(broken)
        with pytest.raises(StorageError, match="the database of questions and answers is damaged") as caught:
            Service(here.folder, ServiceLog(stream=here.log).say)
        assert "move superlink.db" in caught.value.do
    for path in database.parent.glob("superlink.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    with here.serving() as link:
        until(lambda: set(link.nodes().values()) == {"mercy", "north"})


def test_a_database_of_a_newer_version_is_refused_in_words_and_stays_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "superlink.db"
    shutil.copy(_empty_database(), database)
    with closing(sqlite3.connect(database)) as later, later:
        later.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(StorageError, match="written by another version of Flower") as caught:
        SuperLink(tmp_path)
    assert "A newer Wardround" in caught.value.do
    with closing(sqlite3.connect(database)) as later:
        assert later.execute("SELECT version_num FROM alembic_version").fetchall() == [("ffffffffffff",)]


def test_a_database_that_breaks_under_a_coordinator_that_serves_is_a_storage_error(tmp_path: Path) -> None:
    shutil.copy(_empty_database(), tmp_path / "superlink.db")
    link = SuperLink(tmp_path)
    try:
        with pytest.raises(StorageError, match="is damaged"), link.transaction():
            raise _said_by_sqlite(tmp_path)
    finally:
        link.stop()


def _said_by_sqlite(folder: Path) -> Exception:
    broken = folder / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    try:
        sqlite3.connect(broken).execute("SELECT * FROM sqlite_master")
    except sqlite3.DatabaseError as error:
        return error
    raise AssertionError("SQLite reads anything")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_hospital_that_is_revoked_and_enrolled_anew_between_two_looks_is_another_one(
    here: Coordinator, restarted: bool
) -> None:
    def anew() -> None:
        revoke(here.folder, "mercy", NOW)
        fresh = Request.make("mercy", Identity(b"n" * 32), generate_private_key(SECP256R1()), NOW)
        enrol(here.folder, fresh, NOW)

    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        node = {name: number for number, name in link.nodes().items()}["mercy"]
        run = link.new_run()
        grid = link.grid(run)
        [asked] = grid.push_messages([question(node)])
        if not restarted:
            with link.transaction():  # it looks neither before nor between
                anew()
            until(lambda: node not in link.nodes())
            until(lambda: set(link.nodes().values()) == {"mercy", "north"})
            [came] = grid.pull_messages([asked])
            assert came.error.reason == "revoked"
    if restarted:
        anew()
        with here.serving() as link:
            until(lambda: set(link.nodes().values()) == {"mercy", "north"})
            assert node not in link.nodes()


def test_a_run_asks_and_tells_nothing_to_another_hospital_under_a_name_that_its_study_lists(here: Coordinator) -> None:
    listed = [Listed.of(name, Identity(name.encode().ljust(32)).public).model_dump() for name in ("mercy", "north")]
    listing = study(roster=listed, aggregation={"min_hospitals": 2, "secure": True})
    question = {name: Parts({"round": 1}) for name in ("mercy", "north")}
    heart = {LEDGER_HEADER: "7:ab:cd"}
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        begun = Standings(
            name="first", digest=listing.digest(), stage="training", since=NOW, rounds=2, began=NOW,
            hospitals={"mercy": "asked", "north": "asked"},
        )  # fmt: skip
        run = Run(here.folder.path / "runs" / "first", listing, begun)
        here.service._runs._runs["first"] = run
        exchange = here.service._exchange(run)
        for node in link.nodes():
            link.hear(node)
        assert exchange.hospitals() == ["mercy", "north"]
        here.service._hear("mercy", heart)
        assert here.service._hear("mercy", heart).keys() >= {LEDGER_HEADER, RUNS_HEADER}

        revoke(here.folder, "mercy", NOW)
        enrol(here.folder, Request.make("mercy", Identity(b"n" * 32), generate_private_key(SECP256R1()), NOW), NOW)
        until(lambda: here.service._acquainted.public("mercy") == Identity(b"n" * 32).public)
        until(lambda: set(link.nodes().values()) == {"mercy", "north"})
        for node in link.nodes():
            link.hear(node)
        assert exchange.hospitals() == ["north"]
        assert dict(exchange.ask("train", {"mercy": question["mercy"]})) == {"mercy": Failure("revoked")}
        assert not here.service._hear("mercy", {}).keys() & {LEDGER_HEADER, RUNS_HEADER}
        assert RUNS_HEADER in here.service._hear("north", {})
        [seen] = here.status()["runs"]
        assert seen["doing"]["mercy"]["state"] == OTHER_KEY


def test_a_hospital_with_a_new_node_key_stays_who_it_was(here: Coordinator) -> None:
    with here.serving() as link:
        until(lambda: len(link.nodes()) == 2)
        before = link.nodes()
        key = generate_private_key(SECP256R1())
        enrol(here.folder, Request.make("mercy", Identity(b"mercy".ljust(32)), key, NOW), NOW)
        until(lambda: any(node.key == key.public_key() for node in link._nodes.values()))
        assert link.nodes() == before
