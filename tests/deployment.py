"""A coordinator or a hospital as a process of its own, for tests: ``python deployment.py ROLE FOLDER [NAME]``.

``FOLDER/deployment.pickle`` holds the :class:`Deployment`, written by the test itself. Keys and randomness come from
the study's seed, so that the run can be compared with the simulator's.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from link import Authority, until
from wardround_client.hospital.app import client_app
from wardround_client.link.supernode import Supernode
from wardround_client.link.wire import Link
from wardround_common.messages.rounds import RUN_BYTES
from wardround_common.storage import write_atomically
from wardround_server.link.superlink import SuperLink
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, run_study
from wardround_server.rounds.secure_rounds import Consortium, FolderJournal
from wardround_simulation.federation import Federation, insecure_roster, open_hospital

ALL_THERE_S = 120.0


@dataclass(frozen=True)
class Deployment:
    """What the processes of one test know of each other."""

    federation: Federation
    public_keys: dict[str, bytes]
    private_keys: dict[str, bytes]
    port: int


def coordinate(deployment: Deployment, folder: Path) -> None:
    """Run the study to its end, from its beginning or from where a process before this one was killed."""
    own, study = folder / "coordinator", deployment.federation.study
    link = SuperLink(own)
    for name, key in deployment.public_keys.items():
        link.enrol(name, key)
    link.serve("127.0.0.1", deployment.port, *Authority(folder / "authority").server)
    for file, make in {"run": lambda: str(link.new_run()).encode(), "secure": lambda: os.urandom(RUN_BYTES)}.items():
        if not (own / file).exists():
            write_atomically(own / file, make())
    run = int((own / "run").read_bytes())
    journal = FolderJournal(own / "journal")
    consortium = Consortium((own / "secure").read_bytes(), insecure_roster(deployment.federation), journal)
    checkpoint = own / "checkpoint"

    def keep(event: Event) -> None:
        if isinstance(event, RoundEnds):
            write_checkpoint(checkpoint, study, event.state)

    until(lambda: len(link.here()) == len(deployment.public_keys), ALL_THERE_S)
    before = read_checkpoint(checkpoint, study) if checkpoint.exists() else None
    exchange = GridExchange(link.grid(run), link.nodes())
    run_study(study, exchange, keep, before, consortium if study.aggregation.secure else None)
    link.end_run(run)
    link.stop()


def attend(deployment: Deployment, folder: Path, name: str) -> None:
    """Be one hospital until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    link = Link(f"127.0.0.1:{deployment.port}", folder / "authority" / "ca.pem", deployment.private_keys[name])
    app = client_app(lambda context: open_hospital(deployment.federation, name))
    Supernode(link, app, folder / name, lambda status: logging.info("%s: %s", name, status)).run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    role, place, *who = sys.argv[1:]
    here = Path(place)
    known = pickle.loads((here / "deployment.pickle").read_bytes())  # noqa: S301  # the test wrote it a moment ago
    coordinate(known, here) if role == "coordinator" else attend(known, here, who[0])
