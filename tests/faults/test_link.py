"""What happens to a link: away for long, a wrong clock, a renewed certificate, SIGTERM at either end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from faults.mortal import Fault
from processes import NAMES, Site

pytestmark = pytest.mark.faults
A = NAMES[0]
TRAIN = "wardround_client.hospital.answering:train"


class Cable:
    """A hospital's way out, a proxy that opens tunnels, which can be cut and mended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: set[socket.socket] = set()
        self._cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut = True
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError, IndexError):
            host, port = client.recv(65536).split()[1].decode().rsplit(":", 1)
            if self._cut:
                return
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self._ends |= {client, server}
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
                self._ends -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def through(site: Site, cable: Cable) -> Iterator[None]:
    """Let the first hospital reach the coordinator by this cable only."""
    site.terminate(A)
    site.extra = {"HTTPS_PROXY": f"http://127.0.0.1:{cable.port}", "NO_PROXY": "", "no_proxy": ""}
    site.start(A)
    site.extra = {}
    try:
        yield
    finally:
        cable.close()
        site.terminate(A)
        site.start(A)


@pytest.mark.parametrize("stage", ["question", "training", "upload"])
def test_F6_a_link_that_is_away_for_long_loses_no_round(site: Site, stage: str) -> None:  # noqa: N802
    name = f"away-{stage}"
    study = site.study(name, training={"rounds": 2})
    site.approve_here(study)
    log = site.folder / f"{A}.log"
    cable = Cable()
    with through(site, cable):
        moment = {
            "question": Fault("wardround_client.link.mailbox:Mailbox.put", "before", "train.train", does="slow"),
            "training": Fault(TRAIN, "after", does="slow"),
            "upload": Fault("wardround_client.link.wire:Wire.ask", "before", "push-object", 6, does="slow"),
        }[stage]
        moment.write(site.folder, A)
        site.begin(study)
        site.until((site.folder / f"{A}.met").exists)
        said = len(log.read_text())
        cable.cut()
        time.sleep(15)  # what is away for hours is away for more tries of 30 s: nothing else differs
        assert site.status(name)["stage"] in ("preparing", "training")
        assert site.status(name)["round"] < 2
        site.until(lambda: "cannot be reached" in log.read_text()[said:])
        cable.mend()
        assert site.until_over(name)["stage"] == "done"
    assert site.each_charged(study, 2)


def test_a_clock_ten_seconds_off_is_good_enough_and_one_ten_minutes_off_is_explained_and_can_be_mended(
    site: Site,
) -> None:
    study = site.study("clock", training={"rounds": 2})
    site.approve_here(study)
    clock = site.folder / f"{A}.clock"
    for seconds, words in ((-600, "s behind the coordinator's"), (600, "s ahead of the coordinator's")):
        clock.write_text(str(seconds))
        site.until(lambda words=words: words in site.hospital_noted(A)["fault"])
        assert "NTP" in site.hospital_noted(A)["fault"]
        site.run("hospital", "health", "--state", A, code=8)
    site.until(lambda: A not in site.connected())
    site.begin(study)
    site.until(lambda: site.status("clock")["hospitals"].get(A) == "away")
    clock.write_text("10")
    assert site.until_over("clock")["stage"] == "done"
    clock.unlink()


def test_a_certificate_that_is_renewed_in_a_round_ends_neither_run_nor_link(site: Site) -> None:
    study = site.study("renewed", training={"rounds": 3})
    site.approve_here(study)
    Fault(TRAIN, "after", does="slow").write(site.folder, A)
    site.begin(study)
    site.until((site.folder / f"{A}.met").exists)
    said = len((site.folder / "C.log").read_text())
    site.run("coordinator", "renew", "C")
    site.until(lambda: "the renewed certificate is in use" in (site.folder / "C.log").read_text()[said:])
    assert site.until_over("renewed")["stage"] == "done"


def test_sigterm_of_a_hospital_that_trains_keeps_its_answer_and_sends_it_later(site: Site) -> None:
    study = site.study("term-hospital", training={"rounds": 2})
    site.approve_here(study)
    Fault(TRAIN, "after", does="slow").write(site.folder, A)
    site.begin(study)
    site.until((site.folder / f"{A}.met").exists)
    assert site.terminate(A) == 0
    assert "stopped; approvals are kept" in (site.folder / f"{A}.log").read_text()
    assert site.hospital_noted(A)["state"] == "stopped"
    assert len(site.mail(A)) == 1  # the answer, which was finished and not sent
    site.start(A)
    assert site.until_over("term-hospital")["stage"] == "done"
    assert site.each_charged(study, 2)


def test_sigterm_of_the_coordinator_in_a_round_keeps_the_run(site: Site) -> None:
    study = site.study("term-coordinator", training={"rounds": 2})
    site.approve_here(study)
    Fault(TRAIN, "after", does="slow").write(site.folder, A)
    site.begin(study)
    site.until((site.folder / f"{A}.met").exists)
    assert site.terminate("C") == 0
    assert "stopped; completed rounds are kept" in (site.folder / "C.log").read_text()
    site.start("C")
    assert site.until_over("term-coordinator")["stage"] == "done"
    assert site.each_charged(study, 2)
