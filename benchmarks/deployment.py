"""What the link costs: an empty exchange, and the bytes of a secure round, over loopback with TLS.

The coordinator is this process; each hospital is a process of its own, which runs the product's link. The round's
hospitals do not train: their updates are made up, so that the bytes are those of the link and of secure sums alone.
Run by ``make bench-deployment``: certificates and keys are made as the tests make them. With ``round`` as its argument
it times our secure round alone, in a minute, and writes no figures. Processor time is of the round alone, user and
system together, and says more than the clock where a machine has other work (Linux only).
"""

from __future__ import annotations

import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

sys.path.insert(1, str(Path(__file__).parent.parent / "tests"))  # where certificates, keys and studies are made

from examples import study as example_study
from link import Authority, new_key, private_pem, public_pem, until
from measure import report
from stock_deployment import stock_rounds
from wardround_client.hospital.app import client_app
from wardround_client.hospital.secure_desk import Desk
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Link
from wardround_common.audit.log import AuditLog
from wardround_common.audit.recorder import Recorder
from wardround_common.keys.identity import Identity, Roster
from wardround_common.messages.rounds import Parts, TrainRequest
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.encoding import Encoding, encode_counts
from wardround_common.secagg.exchange import Masked
from wardround_common.secagg.messages import Confirmation, ConfirmRequest, MaskedAnswer, Opened, OpenRequest
from wardround_common.secagg.question import question_digest
from wardround_common.study.file import Study
from wardround_server.link.superlink import SuperLink
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.secure_rounds import Consortium, FolderJournal, Rounds
from wardround_server.service.memory import give_large_buffers_back

PARAMETERS = 11_000_000
EXCHANGES = 30
STOCK_ROUNDS = 3
ROUNDS = 6  # the first is not counted: processes that have just started are slower
RUN = bytes(16)
RINGS = {
    32: {},
    16: {"ring_bits": 16, "update_clip": 0.05, "largest_weight": 2000},
}
MEANINGS = {
    "empty_exchange_s": "a question without content to 2 hospitals and both answers back, median of 30",
    "empty_exchange_worst_s": "the slowest of the 30",
    "empty_exchange_after_pause_s": "the same after half a minute without any, median of 2",
    "secure_round_s": "secure round without training of 3 hospitals and 11 million parameters, median of 5",
    "coordinator_cpu_s": "processor time of the coordinator in that round, median of 5",
    "hospital_cpu_s": "processor time of each hospital in that round, mean of 3, median of 5",
    "stock_round_s": "the same by Flower's SecAgg+ in Flower's own deployment, median of 2",
    "stock_over_ours_round_overhead": "stock_round_s over secure_round_s, one after the other",
    "bytes_over_float32": "all bytes of that round's bodies, both ways, over model down and update up as float32",
    "bytes_over_float32_ring16": "the same with ring_bits = 16",
    "upload_over_float32": "bytes from the hospitals in that round over their updates as float32",
    "upload_over_float32_ring16": "the same with ring_bits = 16",
}


def study_of(bits: int) -> Study:
    """Return the study of that ring."""
    return example_study(aggregation={"secure": True, "min_hospitals": 3} | RINGS[bits])


def identity(name: str) -> Identity:
    """Return a hospital's key, which anybody can make."""
    return Identity(hashlib.sha256(name.encode()).digest())


def roster(names: list[str]) -> Roster:
    """Return the keys of all."""
    return Roster({name: identity(name).public for name in names})


class Answering:
    """A hospital of a secure round that has an update without having trained."""

    def __init__(self, study: Study, folder: Path, name: str, names: list[str]) -> None:
        self._study = study
        self._desk = Desk(study, name, identity(name), roster(names), folder, os.urandom)
        self._stream = insecure_stream(0, name)
        self._update = (0.01 * self._stream.uniform(PARAMETERS)).astype(np.float32)
        self._desk.join(RUN)

    def answer(self, kind: str, parts: Parts) -> MaskedAnswer | Confirmation | Opened:
        """Answer as the product's hospital does."""
        digest = self._study.digest()
        if kind == "train":
            request = TrainRequest.parse(parts, PARAMETERS)

            def masked(encoding: Encoding, threshold: int) -> Masked:
                weight = encoding.weight(100)
                counts = encode_counts(np.array([weight, 0, 0], np.int64), encoding.hospitals)
                return Masked(encoding.encode(self._update, weight, self._stream.child("rounding")), counts)

            upload = self._desk.upload("train", request.round, question_digest(request), request.cohort or b"", masked)
            return MaskedAnswer(digest, request.round, upload)
        if kind == "confirm":
            confirm = ConfirmRequest.parse(parts)
            signature = self._desk.confirm(confirm.what, confirm.round, confirm.survivors)
            return Confirmation(digest, confirm.round, signature)
        opening = OpenRequest.parse(parts)
        shares = self._desk.open(opening.what, opening.round, opening.confirmations, opening.sealed)
        return Opened(digest, opening.round, shares)


def empty_app() -> ClientApp:
    """Answer nothing to nothing."""
    app = ClientApp()

    @app.query("empty")
    def answer(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    return app


def audited(folder: Path) -> Recorder:
    """Note each message in an audit log, as the services do."""
    return Recorder(AuditLog(folder, Identity(os.urandom(32)), "hospital", "a benchmark"))


def attend(role: str, folder: Path, address: str, name: str, names: list[str]) -> None:
    """Be a hospital until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    link = Link(address, folder / "authority" / "ca.pem", (folder / f"{name}.key").read_bytes())
    if role == "empty":
        app = empty_app()
    else:
        hospital = Answering(study_of(int(role)), folder / name / "desk", name, names)
        app = client_app(lambda context: hospital)  # type: ignore[arg-type,return-value]  # it answers as one
    Supernode(link, app, folder / name, passed=audited(folder / f"{name}-audit")).run(stop)


@contextmanager
def federation(role: str, names: list[str]) -> Iterator[tuple[SuperLink, Path, list[int]]]:
    """Start a coordinator here and the hospitals next to it; gives these, with a folder, when all are there."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as open_things:
        folder = Path(place)
        authority = Authority(folder / "authority")
        link = SuperLink(folder / "coordinator", passed=audited(folder / "coordinator-audit"))
        open_things.callback(link.stop)
        for name in names:
            key = new_key()
            (folder / f"{name}.key").write_bytes(private_pem(key))
            link.enrol(name, public_pem(key))
        port, processes = link.serve("127.0.0.1", 0, *authority.server), []
        for name in names:
            arguments = [role, place, f"127.0.0.1:{port.number}", name, *names]
            process = subprocess.Popen([sys.executable, __file__, *arguments])
            open_things.callback(process.wait)
            open_things.callback(process.terminate)
            processes.append(process.pid)
        until(lambda: len(link.here()) == len(names), 120)
        time.sleep(1)  # so that the first exchange finds them waiting, as all others do
        yield link, folder, processes


def empty_exchanges() -> dict[str, float]:
    """Time questions without content."""
    with federation("empty", ["a", "b"]) as (link, _, _):
        grid = link.grid(link.new_run())

        def exchange() -> float:
            began = time.perf_counter()
            questions = [Message(RecordDict(), dst_node_id=node, message_type="query.empty") for node in link.here()]
            replies = grid.send_and_receive(questions, timeout=60)
            if len(replies) != 2 or any(reply.has_error() for reply in replies):
                raise SystemExit("an empty exchange failed")
            return time.perf_counter() - began

        times = [exchange() for _ in range(EXCHANGES)]
        late = []
        for _ in range(2):
            time.sleep(30)
            late.append(exchange())
    return {
        "empty_exchange_s": statistics.median(times),
        "empty_exchange_worst_s": max(times),
        "empty_exchange_after_pause_s": statistics.median(late),
    }


def processor_s(process: int) -> float:
    """Return the processor time of a process so far, user and system, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def secure_round(bits: int) -> tuple[NDArray[np.float64], float, float]:
    """Do secure rounds of training; give median seconds, a round's bytes over float32, and those of its uploads.

    The seconds are three: by the clock, of the coordinator's processor time, and of a hospital's.
    """
    names, study = ["a", "b", "c"], study_of(bits)
    with federation(str(bits), names) as (link, folder, processes):
        port = link.port
        if port is None:
            raise SystemExit("the coordinator does not serve")
        consortium = Consortium(RUN, roster(names), FolderJournal(folder / "journal"))
        members = {}
        for name in names:
            desk = Desk(study, name, identity(name), roster(names), folder / name / "desk", os.urandom)
            members[name] = desk.join(RUN)
        rounds = Rounds(study, GridExchange(link.grid(link.new_run()), link.nodes()), consortium, members)
        up, down, seconds = port.bytes_in, port.bytes_out, []

        def now() -> NDArray[np.float64]:
            hospitals = [processor_s(process) for process in processes]
            return np.array([time.perf_counter(), processor_s(os.getpid()), statistics.mean(hospitals)])

        for number in range(1, ROUNDS + 1):
            # Other parameters each round: what is equal would travel once only.
            parameters = insecure_stream(0, "parameters", number).uniform(PARAMETERS).astype(np.float32)
            began = now()
            heard = rounds.train(parameters, number, lambda name: None)
            seconds.append(now() - began)
            if len(heard.answered) != 3:
                raise SystemExit("a hospital is missing in the sum")
        up, down = port.bytes_in - up, port.bytes_out - down
    float32 = ROUNDS * 3 * 4 * PARAMETERS
    return np.median(seconds[1:], axis=0), (up + down) / (2 * float32), up / float32


def secure_rounds() -> dict[str, float]:
    """Measure a round in either ring, and Flower's own."""
    (seconds, coordinator, hospital), both, up = secure_round(32)
    _, both16, up16 = secure_round(16)
    with tempfile.TemporaryDirectory() as folder:
        stock = statistics.median(stock_rounds(Path(folder), 3, PARAMETERS, STOCK_ROUNDS)[1:])
    return {
        "secure_round_s": seconds,
        "coordinator_cpu_s": coordinator,
        "hospital_cpu_s": hospital,
        "stock_round_s": stock,
        "stock_over_ours_round_overhead": stock / seconds,
        "bytes_over_float32": both,
        "bytes_over_float32_ring16": both16,
        "upload_over_float32": up,
        "upload_over_float32_ring16": up16,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["round"]:
        give_large_buffers_back()
        for figure, value in zip(
            ("secure_round_s", "coordinator_cpu_s", "hospital_cpu_s"), secure_round(32)[0], strict=True
        ):
            print(f"{figure} {value:.2f}")
    elif len(sys.argv) > 1:
        attend(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
    else:
        give_large_buffers_back()  # as the command that serves does
        report("deployment", empty_exchanges() | secure_rounds(), MEANINGS)
