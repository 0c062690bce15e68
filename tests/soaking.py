"""Many hospitals and a coordinator's process over many rounds of secure sums, while hospitals drop out at random.

Each hospital is the product's own link, speaking HTTP over TLS, and the product's own half of secure sums; only its
training is made up, so that what each sum must be is known to the last bit. All hospitals live in this process, so that
the coordinator, which has a process of its own, can be measured alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray

from asking import status_of
from examples import STUDY
from link import new_key, until
from processes import COMMAND, OVER, free_port
from wardround_client.hospital.app import Reply, client_app
from wardround_client.hospital.secure_desk import Desk, open_desk
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Link
from wardround_common.documents.enrolment import Request
from wardround_common.documents.proposal import ProposeRequest, sign_approval
from wardround_common.errors import RoundError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import private_pem
from wardround_common.messages.parameters import Layout, Vector, vector_digest
from wardround_common.messages.rounds import EvaluateRequest, Parts, Prepared, PrepareRequest, TrainRequest
from wardround_common.metrics.sums import vector_length
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.encoding import Encoding, encode_counts
from wardround_common.secagg.exchange import Masked, read_heads
from wardround_common.secagg.messages import Confirmation, ConfirmRequest, MaskedAnswer, Opened, OpenRequest
from wardround_common.secagg.question import evaluated_digest, question_digest
from wardround_common.secagg.terms import read_members
from wardround_common.study.file import Study, read_study
from wardround_common.study.roster import Listed
from wardround_common.study.sums import encoding_for
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.service.commanding import commanding
from wardround_server.service.enrolment_desk import begin, enrol
from wardround_server.state.coordinator_folder import CoordinatorFolder

NAME = "soak"
DROPS = 0.1  # of a hospital in a round
STAGES = ("question", "upload", "confirm", "open")
AWAY_S = 1.0
TICKS = os.sysconf("SC_CLK_TCK")
MOST_RESUMED = 3  # times that a run is resumed at one round
RUNS_AT_A_TIME = 2  # hospitals that work at the same moment: this machine is not fifty

logging.getLogger("httpx").setLevel(logging.WARNING)


class Gone(BaseException):
    """A hospital's process ends without a word, as by kill -9; whatever catches errors does not catch this."""


@dataclass(frozen=True)
class Plan:
    """How large a soak is."""

    hospitals: int
    rounds: int
    size: int  # numbers of a model
    seed: int = 0


@dataclass(frozen=True)
class Look:
    """The coordinator's process and folder at one moment."""

    number: int  # the round that has just begun
    at: float  # seconds since the first look
    rss_mib: float
    open_files: int
    threads: int
    disk_mib: float  # all files of the folder
    files: int
    rows: int  # of all tables of its database
    cpu_s: float  # of the coordinator's process since it began


@dataclass
class Books:
    """What each hospital's update was in each round, and whether each sum was right."""

    plan: Plan
    study: Study
    lock: threading.Lock = field(default_factory=threading.Lock)
    updates: dict[int, dict[str, Masked]] = field(default_factory=dict)
    survivors: dict[int, tuple[str, ...]] = field(default_factory=dict)
    cohorts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    before: dict[int, Vector] = field(default_factory=dict)
    drops: Counter[str] = field(default_factory=Counter)
    right: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    unmoved: list[int] = field(default_factory=list)
    begun: Callable[[int], None] = lambda number: None

    def asked(self, number: int, parameters: Vector, cohort: bytes) -> None:
        """Note a round's question; the first time, check the round before."""
        with self.lock:
            if number in self.before:
                return
            self.before[number] = parameters.copy()
            self.cohorts[number] = tuple(member.name for member in read_members(cohort))
            self.check(number - 1, parameters)
        self.begun(number)

    def check(self, number: int, after: Vector) -> None:
        """Check the model after a round against the sum of its survivors' integers, in plain arithmetic."""
        if number not in self.before:
            return
        if after.tobytes() == self.before[number].tobytes():
            self.unmoved.append(number)  # no sum of updates is zero: it was given up, or that is wrong
            return
        made = [self.updates[number][name] for name in self.survivors[number]]
        total = sum((each.update for each in made), start=np.zeros_like(made[0].update))
        weight = sum(int(each.counts[0]) for each in made)
        mean = encoding_for(self.study.aggregation, len(self.cohorts[number])).decode(total) / weight
        _, expected = self.study.training.how.step(self.study.training.values, None, self.before[number], mean)
        (self.right if expected.tobytes() == after.tobytes() else self.wrong).append(number)
        self.updates.pop(number)


@dataclass(eq=False)
class MadeUp:
    """A hospital that answers as the product's does, and trains nothing."""

    name: str
    identity: Identity
    books: Books
    desk: Desk
    at_work: threading.Semaphore
    met: set[tuple[int, str]] = field(default_factory=set)

    def answer(self, kind: str, parts: Parts) -> Reply:
        """Answer one question, or drop out."""
        with self.at_work:
            return self._answer(kind, parts)

    def _answer(self, kind: str, parts: Parts) -> Reply:
        study, digest, size = self.books.study, self.books.study.digest(), self.books.plan.size
        match kind:
            case "propose":
                return sign_approval(self.identity, ProposeRequest.parse(parts).study, self.name)
            case "prepare":
                request = PrepareRequest.parse(parts)
                first = np.zeros(size, np.float32)
                member = self.desk.join(request.run or b"")
                agreement = member.agreement + member.signature
                sent = first if request.send_parameters else None
                return Prepared(digest, Layout(("weights",), ((size,),)), vector_digest(first), sent, agreement)
            case "train":
                train = TrainRequest.parse(parts, size)
                cohort = train.cohort or b""
                self.books.asked(train.round, train.parameters, cohort)
                self._drop(train.round, "question")
                question = question_digest(train)
                upload = self.desk.upload("train", train.round, question, cohort, self._make(train.round))
                self._drop(train.round, "upload")
                return MaskedAnswer(digest, train.round, upload)
            case "evaluate":
                evaluate = EvaluateRequest.parse(parts, size)
                cohort, once = evaluate.cohort or b"", evaluated_digest(evaluate)
                none = encode_counts(np.zeros(vector_length(len(study.groups)), np.int64), len(study.roster) or 1)
                upload = self.desk.upload(
                    "evaluate",
                    evaluate.round,
                    question_digest(evaluate),
                    cohort,
                    lambda encoding, threshold: Masked(np.empty(0, encoding.dtype), none.copy()),
                    once,
                )
                return MaskedAnswer(digest, evaluate.round, upload)
            case "confirm":
                confirm = ConfirmRequest.parse(parts)
                if confirm.what == "evaluate":
                    signature = self.desk.confirm(confirm.what, confirm.round, confirm.survivors)
                    return Confirmation(digest, confirm.round, signature)
                cohort_names = self.books.cohorts[confirm.round]
                heads = read_heads(confirm.survivors, len(cohort_names))
                with self.books.lock:
                    survivors = tuple(cohort_names[place] for place in sorted(heads))
                    assert self.books.survivors.setdefault(confirm.round, survivors) == survivors
                self._drop(confirm.round, "confirm")
                signature = self.desk.confirm(confirm.what, confirm.round, confirm.survivors)
                return Confirmation(digest, confirm.round, signature)
            case _:
                opening = OpenRequest.parse(parts)
                if opening.what == "train":
                    self._drop(opening.round, "open")
                shares = self.desk.open(opening.what, opening.round, opening.confirmations, opening.sealed)
                return Opened(study.digest(), opening.round, shares)

    def _make(self, number: int) -> Callable[[Encoding, int], Masked]:
        def masked(encoding: Encoding, threshold: int) -> Masked:
            stream = insecure_stream(self.books.plan.seed, f"{self.name} {number}")
            update = (0.01 * (stream.uniform(self.books.plan.size) - 0.5)).astype(np.float32)
            weight = encoding.weight(50 + number % 7 + len(self.name))
            counts = encode_counts(np.array([weight, 0, 0], np.int64), encoding.hospitals)
            vector: NDArray[np.unsignedinteger] = encoding.encode(update, weight, stream.child("rounding"))
            with self.books.lock:  # a copy: the masks are added in place
                kept = Masked(vector.copy(), counts.copy())
                before = self.books.updates.setdefault(number, {}).setdefault(self.name, kept)
                assert before.update.tobytes() == vector.tobytes()
            return Masked(vector, counts)

        return masked

    def _drop(self, number: int, stage: str) -> None:
        """Drop out, if the seed says so: half of those with a word, half without one, who come back in a second."""
        key = f"drop {self.books.plan.seed} {self.name} {number}".encode()
        drawn = hashlib.sha256(key).digest()
        drops = int.from_bytes(drawn[:4], "big") < DROPS * 2**32
        if not drops or STAGES[drawn[4] % len(STAGES)] != stage or (number, stage) in self.met:
            return
        self.met.add((number, stage))
        silent = drawn[5] % 2 == 0
        with self.books.lock:
            self.books.drops[f"{stage}, {'vanished and came back' if silent else 'said that it failed'}"] += 1
        if silent:
            raise Gone
        raise RoundError("made to drop out")


@dataclass(eq=False)
class Attending:
    """One hospital's link, started again whenever it is gone."""

    link: Link
    hospital: MadeUp
    folder: Path
    stop: threading.Event
    fault: str = ""

    def run(self) -> None:
        """Serve until the soak is over."""
        app = client_app(lambda context: self.hospital)
        while not self.stop.is_set():
            try:
                Supernode(self.link, app, self.folder).run(self.stop)
            except Gone:
                self.stop.wait(AWAY_S)
            except Exception as error:
                self.fault = f"{self.hospital.name}: {type(error).__name__}: {error}"
                raise


@dataclass(frozen=True)
class Soaked:
    """What a soak found."""

    looks: tuple[Look, ...]
    standing: dict[str, object]
    books: Books
    seconds: float
    absent: int  # hospitals that were missing in a round, over all rounds
    skipped: tuple[int, ...]  # rounds that too few hospitals of could open, and that were given up
    log: str


class NotSoakedError(Exception):
    """The run ended in a way that no resuming helps; the text says how, and what the coordinator's log ends with."""


def soak(plan: Plan, folder: Path, tell: Callable[[Look], None] = lambda look: None) -> Soaked:
    """Run all rounds; a run that fails is resumed, and its reason kept in the log.

    With few hospitals it happens that more drop out of a round than a sum can do without: the run is resumed, and if
    the same round fails again, that round is given up as people would.

    Raises:
        NotSoakedError: the run ended otherwise, or fails at one round again and again.
    """
    place = CoordinatorFolder(folder / "C")
    now = datetime.now(UTC)
    begin(place, ("127.0.0.1",), free_port(), now)
    stop = threading.Event()
    names = [f"hospital-{number:02}" for number in range(plan.hospitals)]
    identities = {name: Identity(hashlib.sha256(name.encode()).digest()) for name in names}
    study = _study(plan, folder, identities)
    books = Books(plan, study)
    at_work = threading.Semaphore(RUNS_AT_A_TIME)
    attending = []
    for name in names:
        key = new_key()
        invitation = enrol(place, Request.make(name, identities[name], key, now), now)
        (folder / name).mkdir()
        (folder / name / "authority.pem").write_text(invitation.authority)
        desk = open_desk(study, name, identities[name], folder / name / "desk", os.urandom)
        link = Link(invitation.address, folder / name / "authority.pem", private_pem(key))
        hospital = MadeUp(name, identities[name], books, desk, at_work)
        attending.append(Attending(link, hospital, folder / name / "link", stop))
    looks: list[Look] = []
    began = time.monotonic()
    with _serving(folder) as coordinator:

        def look(number: int) -> None:
            looks.append(_look(number, time.monotonic() - began, coordinator.pid, place.path))
            tell(looks[-1])

        books.begun = look
        threads = [threading.Thread(target=one.run, daemon=True) for one in attending]
        for thread in threads:
            thread.start()
        with commanding(place.path) as commands:
            commands.run((folder / "soak.toml").read_text(), "soak.toml")
        standing: dict[str, object] = {"stage": ""}
        try:
            failed: list[int] = []
            while standing["stage"] not in OVER:
                time.sleep(0.5)
                assert coordinator.poll() is None, "the coordinator ended"
                assert not (faults := [one.fault for one in attending if one.fault]), faults
                standing = status_of(place.path)["runs"][0]
                if standing["stage"] == "failed":
                    if failed.count(standing["round"]) == MOST_RESUMED:
                        raise NotSoakedError(f"round {standing['round'] + 1} failed: {standing['said']}")
                    with commanding(place.path) as commands:
                        commands.resume(NAME, give_up=standing["round"] in failed)
                    failed.append(standing["round"])
                    standing = {"stage": ""}
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        look(plan.rounds + 1)
    state = read_checkpoint(place.path / "runs" / NAME / "checkpoint", study)
    if len(state.history) == plan.rounds:
        books.check(plan.rounds, state.parameters)
    skipped = tuple(record.number for record in state.history if not record.answered)
    books.wrong.extend(set(books.unmoved) ^ set(skipped))
    absent = sum(len(record.absent) for record in state.history)
    log = (folder / "C.log").read_text()
    return Soaked(tuple(looks), standing, books, time.monotonic() - began, absent, skipped, log)


def _study(plan: Plan, folder: Path, identities: dict[str, Identity]) -> Study:
    tables = {key: dict(table) for key, table in STUDY.items()}
    tables["study"]["name"] = NAME
    tables["training"]["rounds"] = plan.rounds
    tables["aggregation"] = {"secure": True, "min_hospitals": plan.hospitals // 2 + 1}
    tables["evaluation"]["every"] = plan.rounds  # the evaluation's sum has nothing that training's has not
    entries = "".join(Listed.of(name, identity.public).toml() for name, identity in sorted(identities.items()))
    path = folder / "soak.toml"
    path.write_text(tomli_w.dumps(tables) + entries, encoding="utf-8")
    return read_study(path)


@contextmanager
def _serving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "C.log").open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, "coordinator", "serve", "C", "--bind", "127.0.0.1"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )

    def answers() -> bool:
        try:
            status_of(folder / "C")
        except StorageError:
            return False
        return True

    try:
        until(answers, 120)
        yield process
    finally:
        process.kill()
        process.wait()


def _look(number: int, at: float, process: int, folder: Path) -> Look:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line
    )
    sizes = []
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue  # it was replaced a moment ago
    with sqlite3.connect(f"file:{folder / 'link' / 'superlink.db'}?mode=ro", uri=True, timeout=30) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)  # noqa: S608
    database.close()
    return Look(
        number,
        at,
        int(status["VmRSS"].split()[0]) / 1024,
        sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()),
        int(status["Threads"]),
        sum(sizes) / 2**20,
        len(sizes),
        rows,
        sum(map(int, Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / TICKS,
    )
