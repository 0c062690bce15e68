"""The coordinator's page under load, in Chromium: 50 hospitals and 1,000 rounds, while rounds go on.

The pages, their socket and the checkpoint are the product's. A round is its own work of one: fifty updates
of a million numbers added, averaged, a step, a checkpoint with the whole history. Rounds follow each other without a
pause in the process that shows the pages, so that whatever the page takes of it delays a round; a real round, in which
the coordinator mostly waits for hospitals, is delayed by less. The browser is on the same machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from chromium import CHROMIUM, DRIVER, Chromium, driven
from commanded import THEN, a_standing, commanded
from consortium import secure_study
from wardround_common.messages.parameters import Layout
from wardround_common.results import RoundRecord
from wardround_common.results.record import Absence, Headline
from wardround_server.averaging.weighted_sum import WeightedSum
from wardround_server.page.coordinator_page import coordinator_pages
from wardround_server.rounds.checkpoint import write_checkpoint
from wardround_server.rounds.course import State
from wardround_server.service.enrolment_desk import begin
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import CoordinatorStatus, HospitalDoing, HospitalSeen, RunSeen

HISTORY, NUMBERS = 1000, 1_000_000
HOSPITALS = [f"hospital-{number:02}" for number in range(50)]
BLOCKS, EACH = 12, 6
"""Blocks of rounds with the page open and without, as A B B A, and rounds of a block; its first is not counted."""
LOOKS = 5
RUN = "lung"


def a_round(number: int) -> RoundRecord:
    """Return a round in which one hospital was missing."""
    return RoundRecord(
        number=number,
        seconds=20.0 + number % 7,
        bytes_to_hospitals=4 * NUMBERS,
        bytes_from_hospitals=4 * NUMBERS,
        training_loss=1 / number,
        validation_loss=2 / number,
        headline=Headline(metric="AUROC", value=1 - 0.5 / number),
        answered=tuple(HOSPITALS[1:]),
        absent=(Absence(hospital=HOSPITALS[0], kind="silent"),),
    )


class Rounds:
    """A coordinator's own work of a round, over and over."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "runs" / RUN
        self.place.mkdir(parents=True)
        self.study = secure_study()
        (self.place / "study").write_bytes(self.study.canonical())
        self.history = [a_round(number) for number in range(1, HISTORY + 1)]
        self.layout = Layout(("weights",), ((NUMBERS,),))
        self.parameters = np.zeros(NUMBERS, np.float32)
        self.update = (0.01 * np.random.default_rng(0).standard_normal(NUMBERS)).astype(np.float32)
        self.seen = tuple(
            HospitalSeen(name=one, state="waiting", connected=True, last_heard=THEN, paused=False, images_away=False)
            for one in HOSPITALS
        )

    def status(self) -> CoordinatorStatus:
        """Return the state of the coordinator now."""
        number = len(self.history)
        doing = {one: HospitalDoing(state="training", since=THEN, round=number + 1) for one in HOSPITALS}
        standing = a_standing(RUN, round=number, hospitals=dict.fromkeys(HOSPITALS, "asked"))
        run = RunSeen(**(dict(standing) | {"rounds": 2 * HISTORY}), doing=doing)
        return CoordinatorStatus(time=1.0, hospitals=self.seen, runs=(run,))

    def one(self) -> tuple[float, float]:
        """Do a round; return its seconds by the clock, and of the processor."""
        began, cpu = time.perf_counter(), time.process_time()
        total = WeightedSum(NUMBERS)
        for number in range(len(HOSPITALS)):
            total.add(self.update, 50 + number)
        self.parameters = (self.parameters + total.mean()).astype(np.float32)
        self.history.append(a_round(len(self.history) + 1))
        self.write()
        return time.perf_counter() - began, time.process_time() - cpu

    def write(self) -> None:
        """Write the checkpoint."""
        state = State(self.layout, self.parameters, None, tuple(self.history))
        write_checkpoint(self.place / "checkpoint", self.study, state)


def rss_mib() -> float:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy_cores(seconds: float = 3.0) -> float:
    """Return how many cores others kept busy just now."""

    def ticks() -> int:
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        return sum(int(word) for at, word in enumerate(words) if at not in (3, 4))  # all but idle and waiting

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def measure() -> dict[str, float]:
    """Measure; empty where there is no browser."""
    if not (DRIVER and CHROMIUM):
        return {}
    busy = busy_cores()
    with tempfile.TemporaryDirectory() as place, driven() as port:
        folder = Path(place) / "C"
        begin(CoordinatorFolder(folder), ["127.0.0.1"], 9093, datetime.now(UTC))
        rounds = Rounds(folder)
        rounds.write()
        for _ in range(3):
            rounds.one()
        with (
            commanded(folder) as here,
            coordinator_pages(CoordinatorFolder(folder), 0, lambda text, **facts: None) as pages,
        ):
            here.commanded.says = rounds.status
            window = Chromium(port, Path(place) / "profile", Path(place))
            try:
                window.look(1280, dark=False)
                window.go(pages.invite())
                address = f"{window.at.rstrip('/')}/runs/{RUN}"
                window.go("about:blank")
                before = rss_mib()
                found = _looks(window, address, rounds)
                found["memory_mib"] = rss_mib() - before
                found["browser_heap_mib"] = window.run("return performance.memory.usedJSHeapSize") / 2**20
                found |= _overhead(window, address, rounds)
            finally:
                window.close()
    return {name: round(value, 4) for name, value in found.items()} | {"page_busy_cores": round(busy, 1)}


def _looks(window: Chromium, address: str, rounds: Rounds) -> dict[str, float]:
    """Load the page of a run, the first time and again, and wait for what it says of a new round by itself."""
    paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    painted = []
    for _ in range(LOOKS + 1):
        window.go(address)
        painted.append(_until(lambda: window.run(paint)) / 1000)
        window.go("about:blank")
    window.go(address)
    shown = "return document.getElementById('live').innerText.includes(arguments[0])"
    late = []
    for _ in range(LOOKS):
        rounds.history.append(a_round(len(rounds.history) + 1))
        rounds.write()
        began = time.perf_counter()
        words = f"Rounds completed: {len(rounds.history)} of"
        _until(lambda words=words: window.run(shown, words))  # type: ignore[misc]  # of now
        late.append(time.perf_counter() - began)
    return {
        "first_paint_cold_s": painted[0],
        "first_paint_s": statistics.median(painted[1:]),
        "update_s": statistics.median(late),
        "page_kib": float(window.run("return document.documentElement.outerHTML.length")) / 1024,
    }


def _overhead(window: Chromium, address: str, rounds: Rounds) -> dict[str, float]:
    took: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    ratios = []
    for block in range(BLOCKS):
        medians = {}
        for is_open in (True, False) if block % 2 == 0 else (False, True):
            window.go(address if is_open else "about:blank")
            each = [rounds.one() for _ in range(EACH)][1:]
            took[is_open] += each
            medians[is_open] = statistics.median(wall for wall, _ in each)
        ratios.append(medians[True] / medians[False])
    cpu = {is_open: statistics.median(cpu for _, cpu in each) for is_open, each in took.items()}
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "page_overhead": statistics.median(ratios),
        "page_overhead_quarter": low,
        "page_overhead_three_quarters": high,
        "page_overhead_processor": cpu[True] / cpu[False],
        "page_round_s": statistics.median(wall for wall, _ in took[False]),
    }


def _until(ask: Callable[[], object], within_s: float = 60.0) -> float:
    end = time.monotonic() + within_s
    while not (found := ask()):
        if time.monotonic() > end:
            raise TimeoutError("the page did not say so")
        time.sleep(0.02)
    return float(found) if isinstance(found, int | float) else 1.0


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:30} {value}")
