"""What a simulated federation costs over a plain PyTorch loop of the same steps, and what a second worker gains.

Run with ``make bench-simulation``. Hospitals of 100 images of 64 px, the small CNN (97,650 parameters), one local epoch
a round, one thread a process. The plain loop trains the same batches of the same prepared images, scores the same
validation images and averages with ``torch``; it sends, checks, journals and saves nothing. The two take turns,
so that a machine that slows down slows both; figures are ratios of the quickest rounds, which other programmes
disturbed least. With one worker it is processor time. Two workers are compared with two plain loops at once, each
over half of the hospitals: what two of this machine's cores can do together.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tomli_w
import torch

from measure import most_resident, report
from plain_loop import plain_round, plain_rounds
from wardround_common.study.file import Study
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.checkpoint import write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, run_study
from wardround_server.rounds.secure_rounds import open_consortium
from wardround_simulation.federation import Federation, Site, insecure_roster, nodes, open_hospital
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.partition import cut
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospital
from wardround_simulation.places import Places
from wardround_simulation.workers import InThisProcess, Job, Processes, Workers

Clock = Callable[[], float]

IMAGES = 100  # a hospital
ROUNDS = 4
TURNS = 2
MEANINGS = {
    "overhead_1_worker_10": "processor time of a round over the plain loop's, 10 hospitals, one worker (at most 1.05)",
    "overhead_1_worker_100": "the same with 100 hospitals (at most 1.05)",
    "speedup_2_workers": "two plain loops at once over rounds with two workers, 10 hospitals (at least 0.97)",
    "first_round_s": "seconds from the command to its first round, 10 hospitals, images prepared (less than 3)",
    "secure_1000_round_over_plain": "processor time of a secure round over a plain one, 1,000 hospitals (at most 1.3)",
    "secure_1000_peak_gb": "peak memory of that simulation, GB (less than 4)",
}


def study(hospitals: int, rounds: int) -> Study:
    """Return the benchmark's study."""
    return Study.model_validate(
        {
            "study": {"name": "benchmark"},
            "task": {"name": "classification", "classes": list(CLASSES)},
            "data": {"modalities": [SCANNERS[0].modality], "image_size": 64, "intensity": "range"},
            "model": {"network": "small-cnn"},
            "training": {
                "strategy": "fedavg",
                "rounds": rounds,
                "local_epochs": 1.0,
                "batch_size": 16,
                "optimiser": "sgd",
                "learning_rate": 0.01,
            },
            "privacy": {"mechanism": "none"},
            "aggregation": {"min_hospitals": hospitals, "secure": False},
            "evaluation": {"validation": 0.1, "test": 0.1},
        }
    )


def simulated_rounds(
    federation: Federation, workers: Workers, folder: Path, clock: Clock, *, from_second: bool = True
) -> list[float]:
    """Do rounds as ``wardround simulate`` does them, with a checkpoint after each; give the seconds of each."""
    names = nodes([site.name for site in federation.sites])
    exchange = GridExchange(InProcessGrid(federation, names, workers), names)
    consortium = None
    if federation.study.aggregation.secure:
        consortium = open_consortium(folder / "coordinator", insecure_roster(federation))
    seconds: list[float] = []
    began = clock()

    def watch(event: Event) -> None:
        nonlocal began
        if isinstance(event, RoundEnds):
            write_checkpoint(folder / "checkpoint", federation.study, event.state)
            seconds.append(clock() - began)
            began = clock()

    run_study(federation.study, exchange, watch, None, consortium)
    return seconds[1:] if from_second else seconds  # in the first one workers open their hospitals


def timed(clock: Clock, work: Callable[[], object]) -> float:
    """Return the seconds that some work takes."""
    began = clock()
    work()
    return clock() - began


def overhead(federation: Federation, folder: Path) -> float:
    """Return the ratio of simulated to plain processor time of a round, the two taking turns."""
    clock = time.process_time
    hospitals = [open_hospital(federation, site.name) for site in federation.sites]
    plain_round(hospitals, federation.study)
    plain, simulated = [], []
    for _ in range(TURNS):
        plain += [timed(clock, lambda: plain_round(hospitals, federation.study)) for _ in range(2)]
        simulated += simulated_rounds(federation, InThisProcess(), folder, clock)
    return min(simulated) / min(plain)


def speedup(federation: Federation, folder: Path) -> float:
    """Return the time of two plain loops at once, each over half of the hospitals, over rounds with two workers.

    The two take turns in the same two processes, so that what disturbs one disturbs both.
    """
    clock, two = time.perf_counter, Processes(2)
    names = [site.name for site in federation.sites]

    def loops() -> None:
        jobs = [Job(plain_rounds, (federation, names[start::2]), f"half {start}") for start in (0, 1)]
        left = {two.submit(job) for job in jobs}
        while left:
            for number, result in two.done():
                if result is not None:
                    raise SystemExit(f"a plain loop in a worker failed: {result}")
                left.remove(number)

    try:
        loops()
        plain, simulated = [], []
        for _ in range(2 * TURNS):
            plain += [timed(clock, loops) for _ in range(2)]
            simulated += simulated_rounds(federation, two, folder, clock)
        return min(plain) / min(simulated)
    finally:
        two.close()


def secure_round(hospitals: int, images: int, folder: Path) -> tuple[float, float]:
    """Return the processor time of one secure round, and of the plain loop.

    All hospitals have the same images, so that images for none but them need not be made.
    """
    make_hospital(folder / "pool", SCANNERS[0], seed=0, patients=images)
    source = Places(None, None, frozenset(), folder / "state").source(folder / "pool")
    clock = time.process_time

    def federation(count: int) -> Federation:
        of = study(count, 1)
        of = of.model_copy(update={"aggregation": of.aggregation.model_copy(update={"secure": True})})
        sites = tuple(Site(f"hospital {number:05}", (source,)) for number in range(count))
        return Federation(of, sites, desks=folder / f"desks-{count}")

    few, all_of_them = federation(3), federation(hospitals)
    simulated_rounds(few, InThisProcess(), folder / "few", clock)  # what a process does once is not counted
    there = [open_hospital(all_of_them, site.name) for site in all_of_them.sites]
    plain_round(there[:20], all_of_them.study)
    plain = timed(clock, lambda: plain_round(there, all_of_them.study))
    (simulated,) = simulated_rounds(all_of_them, InThisProcess(), folder, clock, from_second=False)
    return simulated, plain


def peak_gb() -> float:
    """Return the most memory that this process had so far."""
    return most_resident() / 1e9


def seconds_to_first_round(federation: Federation, folder: Path) -> float:
    """Time the command from its start until it says that rounds begin."""
    file = folder / "study.toml"
    file.write_text(tomli_w.dumps(federation.study.model_dump(mode="json", exclude_none=True)))
    pool = federation.sites[0].sources[0].folder
    count = str(len(federation.sites))
    arguments = ["simulate", str(file), "--pool", str(pool), "--split", count, "--state", str(folder / "state")]
    out = folder / "first-round"
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    command = [Path(sys.executable).with_name("wardround"), *arguments, "--out", str(out), "--no-baselines"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    if process.stderr is None:
        raise RuntimeError("the command has no output to read")
    for line in process.stderr:
        if line.startswith("Federated rounds"):
            break
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    return seconds


def federation_of(hospitals: int, folder: Path) -> Federation:
    """Make a pool of phantoms and cut it into hospitals."""
    pool = folder / f"pool-{hospitals}"
    if not pool.exists():
        make_hospital(pool, SCANNERS[0], seed=0, patients=IMAGES * hospitals)
    of = study(hospitals, ROUNDS)
    sites = cut(Places(None, None, frozenset(), folder / "state").source(pool), of, "iid", hospitals)
    return Federation(of, sites)


def main() -> None:
    """Measure, print the table, write the figures."""
    torch.set_num_threads(1)
    if sys.argv[1:] not in ([], ["thousand"]):
        sys.exit("simulation: takes no word, or 'thousand' for the round of a thousand hospitals alone")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:] == ["thousand"]:
            secure, plain = secure_round(1000, IMAGES, folder)
            print(json.dumps({"secure_1000_round_over_plain": secure / plain, "secure_1000_peak_gb": peak_gb()}))
            return
        for hospitals in (10, 100):
            federation = federation_of(hospitals, folder)
            figures[f"overhead_1_worker_{hospitals}"] = overhead(federation, folder)
            if hospitals == 10:
                figures["speedup_2_workers"] = speedup(federation, folder)
                times = [seconds_to_first_round(federation, folder) for _ in range(3)]
                figures["first_round_s"] = statistics.median(times)
    # In a process of its own: the peak is of all that a process did.
    thousand = subprocess.run([sys.executable, __file__, "thousand"], check=True, stdout=subprocess.PIPE, text=True)
    figures |= json.loads(thousand.stdout.splitlines()[-1])
    report("simulation", figures, MEANINGS)


if __name__ == "__main__":
    main()
