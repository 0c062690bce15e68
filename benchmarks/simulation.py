"""What a simulated federation costs over a plain PyTorch loop of the same steps, and what a second worker gains.

Run with ``make bench-simulation``. Hospitals of 100 images of 64 px, the small CNN (97,650 parameters), one local epoch
a round, one thread a process. The plain loop trains the same batches of the same prepared images, scores the same
validation images and averages with ``torch``; it sends, checks, journals and saves nothing. The two take turns,
so that a machine that slows down slows both; figures are ratios of the quickest rounds, which other programmes
disturbed least.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tomli_w
import torch

from measure import report
from wardround_client import networks
from wardround_client.hospital.answering import Hospital
from wardround_common.study.file import Study
from wardround_server.rounds.app import GridExchange
from wardround_server.rounds.checkpoint import write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, run_study
from wardround_simulation.federation import Federation, nodes, open_hospital
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.partition import cut
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospital
from wardround_simulation.places import Places
from wardround_simulation.workers import InThisProcess, Processes, Workers

IMAGES = 100  # a hospital
ROUNDS = 4
TURNS = 2
MEANINGS = {
    "overhead_1_worker_10": "time of a round over the plain loop's, 10 hospitals, one worker (at most 1.15)",
    "overhead_1_worker_100": "the same with 100 hospitals (at most 1.15)",
    "speedup_2_workers": "rounds with one worker over rounds with two, 10 hospitals (at least 1.7 on two cores)",
    "first_round_s": "seconds from the command to its first round, 10 hospitals, images prepared (less than 3)",
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


def simulated_rounds(federation: Federation, workers: Workers, folder: Path) -> Iterator[float]:
    """Do rounds as ``wardround simulate`` does them, with a checkpoint after each; give the seconds of each."""
    names = nodes([site.name for site in federation.sites])
    exchange = GridExchange(InProcessGrid(federation, names, workers), names)
    seconds: list[float] = []
    began = time.perf_counter()

    def watch(event: Event) -> None:
        nonlocal began
        if isinstance(event, RoundEnds):
            write_checkpoint(folder / "checkpoint", federation.study, event.state)
            seconds.append(time.perf_counter() - began)
            began = time.perf_counter()

    run_study(federation.study, exchange, watch)
    yield from seconds[1:]  # in the first one workers open their hospitals


def plain_round(hospitals: list[Hospital], of: Study) -> float:
    """Do one round as a plain loop; give its seconds."""
    network = networks.build(of)
    began = time.perf_counter()
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    examples = 0
    for hospital in hospitals:
        network.load_state_dict(start)
        network.train()
        optimiser = torch.optim.SGD(network.parameters(), of.training.learning_rate)
        data = hospital.dataset.train
        images, labels = torch.from_numpy(data.images(slice(None))), torch.from_numpy(data.targets)
        for rows in torch.randperm(len(labels)).split(of.training.batch_size):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
        for name, tensor in network.state_dict().items():
            total[name] += tensor * len(labels)
        examples += len(labels)
    network.load_state_dict({name: tensor / examples for name, tensor in total.items()})
    network.eval()
    with torch.no_grad():
        for hospital in hospitals:
            network(torch.from_numpy(hospital.dataset.validation.images(slice(None)))).softmax(1)
    return time.perf_counter() - began


def overhead(federation: Federation, folder: Path) -> float:
    """Return the ratio of simulated to plain seconds of a round, the two taking turns."""
    hospitals = [open_hospital(federation, site.name) for site in federation.sites]
    plain_round(hospitals, federation.study)
    plain, simulated = [], []
    for _ in range(TURNS):
        plain += [plain_round(hospitals, federation.study) for _ in range(2)]
        simulated += simulated_rounds(federation, InThisProcess(), folder)
    return min(simulated) / min(plain)


def speedup(federation: Federation, folder: Path) -> float:
    """Return how much faster rounds are with two workers than with one, the two taking turns."""
    two = Processes(2)
    try:
        with_one, with_two = [], []
        for _ in range(TURNS):
            with_one += simulated_rounds(federation, InThisProcess(), folder)
            with_two += simulated_rounds(federation, two, folder)
        return min(with_one) / min(with_two)
    finally:
        two.close()


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
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for hospitals in (10, 100):
            federation = federation_of(hospitals, folder)
            figures[f"overhead_1_worker_{hospitals}"] = overhead(federation, folder)
            if hospitals == 10:
                figures["speedup_2_workers"] = speedup(federation, folder)
                times = [seconds_to_first_round(federation, folder) for _ in range(3)]
                figures["first_round_s"] = statistics.median(times)
    report("simulation", figures, MEANINGS)


if __name__ == "__main__":
    main()
