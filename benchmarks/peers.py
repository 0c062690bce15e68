"""The same federated averaging in other frameworks' simulators, in ours, and in a bare PyTorch loop.

Run with ``make bench-peers``, or ``python benchmarks/peers.py NAME...`` for some beside the bare loop. Ten made
hospitals of 100 images of 64 px, the small CNN, one local epoch a round in batches of 16 by plain SGD, averaged by
numbers of images; no evaluation, no privacy, no secure sums. Every program begins with the same model and takes the
same images in the same order, and its model at the end is compared with the bare loop's.

Each peer has an environment of its own, ``.venv/peers/NAME``, made here with the versions of
``peer_programs/NAME.txt``. Programs take turns. Processor time is that of all processes of a run, those of Ray and of
FLARE included, read when a round ends; the first round (start-up) and the last one (ending) are not counted. A figure
is the least of its turns, which other programmes disturbed least; a difference between models is the greatest.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from measure import known, report
from peer_programs.tree import marked, memory_mb
from simulation import federation_of
from wardround_client import networks
from wardround_simulation.federation import Federation, open_hospital

HOSPITALS = 10
ROUNDS = 5
TURNS = 2
RATE = 0.001
"""Small, so that rounding does not lead models far apart."""
TIMES = 10
"""A model may differ this many times as much as the bare loop from itself with its mean in double precision."""
LIMIT_S = 3600.0
LOOK_S = 0.5
PROGRAMS = Path(__file__).parent / "peer_programs"
ENVIRONMENTS = Path(sys.prefix) / "peers"
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    "RAY_raylet_start_wait_time_s": "300",  # on a busy machine 30 s, which Ray waits, are too few
    "RAY_worker_niceness": "0",  # Ray makes its workers give way to everything else: not so here, for the clock's sake
}


@dataclass(frozen=True)
class Program:
    """One way to do the rounds."""

    file: str
    arguments: tuple[str, ...] = ()
    environment: str = ""
    """Name of its own environment; empty for the one that this runs in."""
    rounds: int = ROUNDS
    turns: int = TURNS


CONTENDERS = {
    "bare": Program("bare.py"),
    "wardround": Program("with_wardround.py"),
    "wardround_flower": Program("with_wardround.py", ("flower",)),
    "pfl": Program("with_pfl.py", environment="pfl"),
    "flower": Program("with_flower.py", environment="flower"),
    "flare": Program("with_flare.py", (str(HOSPITALS),), environment="flare"),
    "flare_one": Program("with_flare.py", ("1",), environment="flare", rounds=3, turns=1),
}
WHAT = {
    "bare": "the bare loop",
    "wardround": "Wardround's simulator, one worker",
    "wardround_flower": "Wardround on Flower's engine (Ray), one actor",
    "pfl": "pfl 0.6.0, its simulated backend",
    "flower": "Flower 1.42.0, its simulation on Ray, one actor",
    "flare": "NVIDIA FLARE 2.9.0, its simulator, all clients at a time",
    "flare_one": "NVIDIA FLARE 2.9.0, its simulator, one client at a time (one run)",
}
MEANINGS = {
    **{f"{name}_round_over_bare": f"processor time of a round over the bare loop's: {WHAT[name]}" for name in WHAT},
    **{f"{name}_beside_s": f"processor time of a round of the bare loop beside it, s: {WHAT[name]}" for name in WHAT},
    **{f"{name}_round_s": f"processor time of a round, s: {WHAT[name]}" for name in WHAT},
    **{f"{name}_round_wall_s": f"time of a round on the clock, s: {WHAT[name]}" for name in WHAT},
    **{
        f"{name}_first_s": f"processor time from the start to the end of the first round, s: {WHAT[name]}"
        for name in WHAT
    },
    **{f"{name}_first_wall_s": f"the same on the clock, s: {WHAT[name]}" for name in WHAT},
    **{f"{name}_peak_mb": f"peak memory of all processes, shared pages once, MB: {WHAT[name]}" for name in WHAT},
    **{f"{name}_off": f"greatest difference of a parameter from the bare loop's model: {WHAT[name]}" for name in WHAT},
}


def main() -> None:
    """Measure those named, or all; print the table, write the figures."""
    if not Path("/proc/self/environ").exists():
        sys.exit(
            "peers: this system has no /proc, where the processes of a run, their time and their memory are read"
            "\n  → Run it on Linux, or in a Linux container on this machine."
        )
    asked = sys.argv[1:] or list(CONTENDERS)
    if unknown := set(asked) - set(CONTENDERS):
        sys.exit(f"peers: there is no {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    names = list(dict.fromkeys(["bare", *asked]))
    for name in {CONTENDERS[name].environment for name in names} - {""}:
        make_environment(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for turn in range(TURNS):
            for name in names:
                if turn < CONTENDERS[name].turns:
                    runs[name].append(run(name, folder, folder / f"{name}-{turn}"))
                    print(f"turn {turn}, {name}: {json.dumps(runs[name][-1])}", flush=True)
            report("peers", figures_of(runs, asked), MEANINGS, known("peers"))


def figures_of(runs: Mapping[str, Sequence[Mapping[str, float]]], asked: Sequence[str]) -> dict[str, float]:
    """Return the figures of those asked for, over the bare loop that ran beside them.

    Where the bare loop ran only to be compared with, its figures stay those of the run that the others were beside.
    """
    best = {
        name: {what: (max if what == "off" else min)(one[what] for one in done) for what in done[0]}
        for name, done in runs.items()
        if done
    }
    bare = best["bare"]["round_s"]
    figures = {f"{name}_round_over_bare": best[name]["round_s"] / bare for name in asked if name in best}
    figures |= {f"{name}_beside_s": bare for name in asked if name in best and name != "bare"}
    return figures | {f"{name}_{what}": value for name in asked if name in best for what, value in best[name].items()}


def make_environment(name: str) -> None:
    """Make a peer's environment with the versions of its list, if it is not there or of another list."""
    place, wanted = ENVIRONMENTS / name, (PROGRAMS / f"{name}.txt").read_text()
    said = place / "made-of.txt"
    if said.exists() and said.read_text() == wanted:
        return
    torch_line = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([*pip, *os.environ.get("TORCH_PIP_ARGS", "").split(), torch_line], check=True)
        subprocess.run([*pip, "--no-deps", "--requirement", PROGRAMS / f"{name}.txt"], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"peers: the environment of {name} could not be made, as the lines above say, by "
            f"{shlex.join(map(str, error.cmd))}"
            "\n  → It needs a package index that can be reached; name the programs that need none: bare wardround."
        )
    said.write_text(wanted)


def prepare(folder: Path) -> None:
    """Write what is to be done: each hospital's prepared training images and orders, and the model to begin with."""
    made = federation_of(HOSPITALS, folder)
    of = made.study.model_copy(
        update={
            "training": made.study.training.model_copy(update={"rounds": ROUNDS, "learning_rate": RATE}),
            "evaluation": made.study.evaluation.model_copy(update={"every": ROUNDS}),  # after the last one alone
        }
    )
    work = folder / "work"
    work.mkdir()
    for number, site in enumerate(made.sites):
        hospital = open_hospital(Federation(of, made.sites), site.name)
        train = hospital.dataset.train
        orders = [hospital.stream.child("order", past).permutation(len(train)) for past in range(ROUNDS)]
        np.savez(work / f"{number}.npz", images=train.images(slice(None)), labels=train.targets[:], orders=orders)
    torch.save(networks.build(of).state_dict(), work / "first.pt")
    said = {
        "hospitals": HOSPITALS,
        "batch": of.training.batch_size,
        "rate": of.training.learning_rate,
        "pool": str(folder / f"pool-{HOSPITALS}"),
        "state": str(folder / "state"),
        "study": of.model_dump(mode="json", exclude_none=True),
    }
    (work / "work.json").write_text(json.dumps(said))


def run(name: str, folder: Path, place: Path) -> dict[str, float]:
    """Run one program; return its figures."""
    program = CONTENDERS[name]
    place.mkdir()
    python = ENVIRONMENTS / program.environment / "bin" / "python" if program.environment else Path(sys.executable)
    said = {"PEERS_PLACE": str(place), "PEERS_WORK": str(folder / "work"), "PEERS_ROUNDS": str(program.rounds)}
    environment = os.environ | QUIET | said | {"PYTHONPATH": str(PROGRAMS)}
    began = time.time()
    with (place / "log").open("wb") as log, watched(f"PEERS_PLACE={place}") as peak:
        command = [python, PROGRAMS / program.file, *program.arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=place)
        try:
            code = process.wait(LIMIT_S)
        finally:
            process.kill()
    if code:
        sys.exit(f"peers: {name} ended with {code}; its last words:\n{(place / 'log').read_text()[-3000:]}")
    marks = [json.loads((place / f"mark-{past}").read_text()) for past in range(1, program.rounds)]
    rounds = [(later["processor"] - mark["processor"], later["wall"] - mark["wall"]) for mark, later in pairwise(marks)]
    return {
        "round_s": sum(processor for processor, _ in rounds) / len(rounds),
        "round_wall_s": sum(wall for _, wall in rounds) / len(rounds),
        "first_s": marks[0]["processor"],
        "first_wall_s": marks[0]["wall"] - began,
        "peak_mb": peak[0],
        "off": off(name, program.rounds, place, folder / "bare-0"),
    }


def off(name: str, rounds: int, place: Path, bare: Path) -> float:
    """Return by how much a program's model differs from the bare loop's after as many rounds; end if it is another.

    Training makes rounding larger, so that what rounding does is measured: by the bare loop with its mean in double.
    """
    wanted, rounded = (torch.load(bare / file, weights_only=True)[rounds - 1] for file in ("after.pt", "rounded.pt"))
    found = rounded if name == "bare" else torch.load(place / "final.pt", weights_only=True)
    if set(found) != set(wanted):
        sys.exit(f"peers: {name} ended with other parameters: {sorted(set(found) ^ set(wanted))}")
    most, by_rounding = (greatest(model, wanted) for model in (found, rounded))
    if not most <= TIMES * by_rounding:
        sys.exit(f"peers: {name} ended with another model: a parameter differs by {most}, by rounding {by_rounding}")
    return most


def greatest(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """Return the greatest difference of two models' parameters."""
    return max(float((one[key] - value).abs().max()) for key, value in other.items())


@contextmanager
def watched(mark: str) -> Iterator[list[float]]:
    """Yield a list with the peak memory of a run, MB; what is left of the run has ended afterwards."""
    peak, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            peak[0] = max(peak[0], memory_mb(mark))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
        for number in marked(mark):
            os.kill(number, signal.SIGKILL)


if __name__ == "__main__":
    main()
