"""Does a GPU train what the CPU trains, how fast, and what does privacy cost there?

Run with ``make check-gpu``, on any machine with a card; it takes a few minutes. It trains small made federations on the
CPU and on the card and compares models and losses, trains them there again, with secure sums too, counts how often a
step waits for the card, times the noise, and measures the private step beside the plain one and Opacus' engines: time
and peak memory. The figures are printed and written to ``results/gpu.json``, with the device and the versions, after
each part. The same command continues a run that was interrupted, unless code has changed since; a part that fails is
named, and the others are run.

Without a card it ends with exit code 9. ``--device cpu --quick`` runs all of it tiny on the CPU, where a card is
compared with nothing but itself and memory is not measured: it shows that this file works, and writes nothing unless
``--json`` says where.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

import wardround_client
import wardround_common
import wardround_server
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.dataset import Dataset, Intake
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.registry import local_task
from wardround_client.training.devices import choose, describe, make_ready
from wardround_client.training.local_work import LocalRun, PrivacyPlan, train
from wardround_client.training.noise import noise_maker
from wardround_common.errors import StorageError, WardroundError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Parts
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_server.rounds.course import Event, State, run_study
from wardround_server.rounds.secure_rounds import open_consortium

RESULTS = Path(__file__).parent / "results" / "gpu.json"
NAMES = ("a", "b", "c")
CLIP, NOISE, TURNS = 1.0, 1.0, 3
ENGINES = ("hooks", "ghost")
UNFINISHED = "unfinished"
"""Names the parts that are still to be run, in the figures of a run that is not complete."""
Figures = dict[str, float | str]
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """One private step that is measured: a network, its images, and how many steps are timed together."""

    network: str
    size: int
    batch: int
    steps: int
    dense: bool = False

    @property
    def key(self) -> str:
        """Its name in the figures."""
        return f"{self.network.replace('-', '_')}_{self.size}_{self.batch}"


CASES = (
    Case("small-cnn", 64, 64, 10),
    Case("resnet18", 224, 64, 4),
    Case("densenet121", 224, 32, 3),
    Case("unet", 128, 16, 8, dense=True),
)
QUICK = (Case("tiny-cnn", 16, 4, 1), Case("tiny-unet", 16, 2, 1, dense=True))


@dataclass(frozen=True)
class Wanted:
    """What is run: on which device, and how large."""

    device: str
    quick: bool

    @property
    def cases(self) -> tuple[Case, ...]:
        """The private steps."""
        return QUICK if self.quick else CASES


def study_for(*, dense: bool, private: bool = False, secure: bool = False, **changed: Mapping[str, object]) -> Study:
    """Return a small study: of two classes, or of the outline of one structure."""
    task = "segmentation" if dense else "classification"
    tables = parse_study(study_text("gpu", dp=private, task=task)).tables(nulls=False)
    tables["task"]["classes"] = ["finding"] if dense else ["normal", "finding"]
    tables["aggregation"] |= {"secure": secure, "min_hospitals": len(NAMES)}
    tables["training"] |= {"augmentations": [], "optimiser": "sgd", "momentum": 0.0, "learning_rate": 0.05}
    for key in ("schedule", "weight_decay"):
        tables["training"].pop(key, None)
    for section, keys in changed.items():
        tables[section] |= keys
    return Study.model_validate(tables)


def images_of(count: int, size: int, seed: int, *, dense: bool) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Make noise images (count, 1, size, size) with a bright square in every second one, and their targets."""
    stream = insecure_stream(seed, "gpu images")
    images = (0.5 * stream.uniform(count * size * size)).astype(np.float32).reshape(count, 1, size, size)
    masks = np.zeros((count, size, size), np.uint8)
    for row in range(1, count, 2):
        top, left = stream.below(size // 2), stream.below(size // 2)
        masks[row, top : top + size // 3, left : left + size // 3] = 1
    images += 0.4 * masks[:, None]
    return images, masks if dense else np.arange(count, dtype=np.int64) % 2


def dataset(patients: int, size: int, seed: int, *, dense: bool) -> Dataset:
    """Make a hospital's data, one image a patient: six tenths to train on."""
    images, targets = images_of(patients, size, seed, dense=dense)
    cuts = np.split(np.arange(patients), [6 * patients // 10, 8 * patients // 10])
    splits = [Examples(images, rows, targets[rows], rows) for rows in cuts]
    names = tuple(str(number) for number in range(patients))
    return Dataset(*splits, Intake({}, {}, (), 0, ()), f"made from seed {seed}", names)


class Together:
    """An exchange with hospitals in this process, one after the other."""

    def __init__(self, study: Study, data: Sequence[Dataset], device: str, folder: Path | None = None) -> None:
        built = build(study, device)
        self.at: dict[str, Hospital] = {}
        for name, held in zip(NAMES, data, strict=True):
            desk = folder and Desk(study, name, identity(name), roster(), folder / name, os.urandom)
            self.at[name] = join(study, held, insecure_stream(0, name), built, desk or None)

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals."""
        return list(self.at)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts]]:
        """Ask each hospital its question."""
        for name, question in questions.items():
            yield name, self.at[name].answer(kind, question).parts()


def identity(name: str) -> Identity:
    """Return a made hospital's key."""
    return Identity(name.encode().ljust(32, b"."))


def roster() -> Roster:
    """Return the keys of all of them."""
    return Roster({name: identity(name).public for name in NAMES})


def quiet(event: Event) -> None:
    """Watch nothing."""


def trained(study: Study, data: Sequence[Dataset], device: str) -> tuple[State, float]:
    """Train a federation; give its last state and the seconds that it took."""
    synchronise(device)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) if study.aggregation.secure else None
        consortium = open_consortium(place / "coordinator", roster()) if place else None
        state = run_study(study, Together(study, data, device, place), quiet, None, consortium)
    synchronise(device)
    return state, time.perf_counter() - began


def compare(wanted: Wanted) -> Figures:
    """Train small federations on the CPU and on the device, and compare models and losses."""
    figures: Figures = {}
    size, rounds = (16, 1) if wanted.quick else (64, 3)
    for dense in (False, True):
        patients = 20 if wanted.quick else 80 if dense else 200
        network = "tiny-unet" if dense else "tiny-cnn" if wanted.quick else "small-cnn"
        data = [dataset(patients, size, seed, dense=dense) for seed in range(len(NAMES))]
        for private in (False, True):
            augmentations: list[str] = [] if private else ["flip", "shift", "rotate", "scale", "intensity"]
            study = study_for(
                dense=dense,
                private=private,
                data={"image_size": size},
                model={"network": network},
                training={"rounds": rounds, "batch_size": 16, "local_epochs": 1.0, "augmentations": augmentations},
                evaluation={"every": 1},
            )
            key = f"{'outlines' if dense else 'classes'}_{'private' if private else 'plain'}"
            reference, slow = trained(study, data, "cpu")
            state, fast = trained(study, data, wanted.device)
            again, _ = trained(study, data, wanted.device)
            start = networks.read_vector(networks.build(study))
            figures |= {
                f"{key}_difference": distance(state.parameters, reference.parameters, start),
                f"{key}_repeats": float(state.parameters.tobytes() == again.parameters.tobytes()),
                f"{key}_loss_difference": abs(last_loss(state) - last_loss(reference)),
                f"{key}_cpu_s": slow,
                f"{key}_device_s": fast,
            }
    return figures


def distance(one: Vector, other: Vector, start: Vector) -> float:
    """Return the length of the difference of two models over that of what was learnt: 0 for the same model."""
    return float(np.linalg.norm(one - other) / max(float(np.linalg.norm(other - start)), 1e-12))


def last_loss(state: State) -> float:
    """Return the loss on validation patients after the last round; NaN if none was judged."""
    record = state.history[-1]
    return float("nan") if record.validation_loss is None else float(record.validation_loss)


def secure(wanted: Wanted) -> Figures:
    """Train with secure sums twice on the device, under other masks: the sum, and so the model, is the same bytes."""
    patients, size = (20, 16) if wanted.quick else (100, 64)
    data = [dataset(patients, size, seed, dense=False) for seed in range(len(NAMES))]
    changed: dict[str, dict[str, object]] = {
        "data": {"image_size": size},
        "model": {"network": "tiny-cnn" if wanted.quick else "small-cnn"},
        "training": {"rounds": 2, "batch_size": 16, "local_epochs": 1.0},
    }
    study = study_for(dense=False, secure=True, **changed)
    (one, seconds), (other, _), (cpu, slow) = (
        trained(study, data, device) for device in (wanted.device, wanted.device, "cpu")
    )
    start = networks.read_vector(networks.build(study))
    return {
        "secure_same_bytes": float(one.parameters.tobytes() == other.parameters.tobytes()),
        "secure_difference": distance(one.parameters, cpu.parameters, start),
        "secure_device_s": seconds,
        "secure_cpu_s": slow,
    }


def waits(wanted: Wanted) -> Figures:
    """Count how often a step waits for the card: what longer rounds have more of than shorter ones."""
    if not wanted.device.startswith("cuda"):
        return {}
    found: Figures = {}
    for dense, private in ((False, False), (True, False), (False, True)):
        case = Case("unet" if dense else "small-cnn", 64, 16, 0, dense)
        counts = []
        for steps in (4, 12):
            step = ours(Case(case.network, case.size, case.batch, steps, dense), wanted.device, private=private)
            step()
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                try:
                    step()
                finally:
                    torch.cuda.set_sync_debug_mode("default")
            counts.append(sum("synchronizing CUDA operation" in str(one.message) for one in said))
        found[f"waits_{case.key}_{'private' if private else 'plain'}"] = (counts[1] - counts[0]) / 8
    return found


def ours(case: Case, device: str, *, private: bool) -> Step:
    """Return a round of the hospital's own training: every patient is drawn in each step."""
    images, targets = images_of(case.batch, case.size, 0, dense=case.dense)
    examples = Examples(images, np.arange(case.batch), targets, np.arange(case.batch))
    study = step_study(case, private=private)
    built = build(study, device)
    start = networks.read_vector(built.network)
    plan = PrivacyPlan(1e-5, NOISE, 1.0, case.steps) if private else None
    run = LocalRun(study, built.network, built.layout, examples, plan, insecure_stream(0, "hospital"))
    return lambda: (train(run, start, 1), None)[1]


def step_study(case: Case, *, private: bool) -> Study:
    """Return the study whose round is the case's steps over the same batch."""
    return study_for(
        dense=case.dense,
        private=private,
        data={"image_size": case.size},
        model={"network": case.network},
        training={"batch_size": case.batch, "local_epochs": float(max(case.steps, 1)), "learning_rate": 0.01},
    )


class _Mean(nn.Module):
    """A task's loss as Opacus takes one: an average, or with ``reduction`` 'none' one number per record."""

    def __init__(self, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.loss, self.reduction = loss, "mean"

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss."""
        losses = self.loss(outputs, targets)
        return losses.mean() if self.reduction == "mean" else losses


def theirs(case: Case, device: str, engine: str | None) -> Step:
    """Return a plain PyTorch loop (None), or the same loop with one of Opacus' engines."""
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    study = step_study(case, private=True)
    images, targets = (
        torch.from_numpy(one).to(device) for one in images_of(case.batch, case.size, 0, dense=case.dense)
    )
    module = networks.build(study).to(device)
    optimiser: torch.optim.Optimizer = torch.optim.SGD(module.parameters(), 0.01)
    criterion: Any = _Mean(local_task(study.task).loss(study.task, study.training, torch.device(device)))
    if engine is not None:
        private = PrivacyEngine().make_private(
            module=module,
            optimizer=optimiser,
            criterion=criterion,
            data_loader=DataLoader(TensorDataset(images, targets), case.batch),
            noise_multiplier=NOISE,
            max_grad_norm=CLIP,
            poisson_sampling=False,
            grad_sample_mode=engine,
        )
        module, optimiser = private[0], private[1]
        criterion = private[2] if engine == "ghost" else criterion

    def turn() -> None:
        for _ in range(case.steps):
            optimiser.zero_grad()
            criterion(module(images), targets).backward()
            optimiser.step()

    return turn


def steps(case: Case, wanted: Wanted) -> Figures:
    """Measure a private step over the plain one: time, and the most memory that it takes on the device."""
    figures: Figures = {}
    makers: dict[str, Callable[[], Step]] = {
        "plain": lambda: theirs(case, wanted.device, None),
        "our_plain": lambda: ours(case, wanted.device, private=False),
        "ours": lambda: ours(case, wanted.device, private=True),
    }
    for engine in ENGINES:
        makers[f"opacus_{engine}"] = lambda engine=engine: theirs(case, wanted.device, engine)  # type: ignore[misc]
    found: dict[str, tuple[float, float]] = {}
    for name, make in makers.items():
        try:
            found[name] = measured(make, wanted.device, 1 if wanted.quick else TURNS)
        except Exception as error:  # noqa: BLE001  # each engine refuses in its own way, and that is the finding
            why = str(error).splitlines()[0][:150]
            print(f"{case.key}: {name} refuses it: {type(error).__name__}: {why}", flush=True)
    for name, (seconds, peak) in found.items():
        figures[f"{case.key}_{name}_ms"] = 1000 * seconds / case.steps
        base = found.get("our_plain" if name == "ours" else "plain")
        if name not in ("plain", "our_plain") and base:
            figures[f"{case.key}_{name}_time"] = seconds / base[0]
            if peak:
                figures[f"{case.key}_{name}_memory"] = peak / base[1]
        if peak:
            figures[f"{case.key}_{name}_gib"] = peak / 2**30
    return figures


def measured(make: Callable[[], Step], device: str, turns: int) -> tuple[float, float]:
    """Return the median seconds of a turn, and the most bytes that were taken on a card meanwhile, 0 elsewhere."""
    gc.collect()
    on_card = device.startswith("cuda")
    if on_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    turn = make()
    turn()  # the first is slower
    found = []
    for _ in range(turns):
        synchronise(device)
        began = time.perf_counter()
        turn()
        synchronise(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found), float(torch.cuda.max_memory_allocated(device)) if on_card else 0.0


def noise(wanted: Wanted) -> Figures:
    """Time the noise of one step of a ResNet-18 by itself: ours, made and added, and torch's generator on both."""
    count = 2**12 if wanted.quick else 11_176_514
    stream, device = insecure_stream(0, "noise"), torch.device(wanted.device)
    sums = [torch.zeros(count, device=device)]

    def ours() -> None:
        with noise_maker(count, 1.0, device) as maker:
            maker.begin(stream).add(sums, 1.0)

    return {
        "noise_numbers": float(count),
        "noise_ours_ms": 1000 * seconds_of(ours, wanted.device),
        "noise_torch_cpu_ms": 1000 * seconds_of(lambda: torch.randn(count), wanted.device),
        "noise_torch_device_ms": 1000 * seconds_of(lambda: torch.randn(count, device=device), wanted.device),
    }


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Return the least time of three."""
    found = []
    for _ in range(3):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        found.append(time.perf_counter() - began)
    return min(found)


def synchronise(device: str) -> None:
    """Wait until a card has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def machine(device: str) -> Figures:
    """Say what the figures were measured on."""
    packages = ("torch", "opacus", "monai", "numpy")
    return {
        "on_device": describe(device),
        "on_code": code(),
        "on_cuda": str(torch.version.cuda or "none"),
        "on_python": platform.python_version(),
        "on_cores": float(os.cpu_count() or 0),
        **{f"on_{name}": version(name) for name in packages},
    }


def show(figures: Figures) -> None:
    """Print all figures."""
    table = Table("figure", "value", title="gpu")
    for name, value in figures.items():
        table.add_row(name, value if isinstance(value, str) else f"{value:.5g}")
    Console(width=120).print(table)


def code() -> str:
    """Return a digest of the code that is measured, ours and this file."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    for package in (wardround_client, wardround_common, wardround_server):
        folder = Path(package.__path__[0])
        for file in sorted(folder.rglob("*.py")):
            found.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def begun(out: Path | None, about: Figures, parts: Sequence[str]) -> tuple[Figures, list[str]]:
    """Return what a run of the same code on the same machine found before it was interrupted, and the parts to run.

    If none was interrupted, nothing was found and all parts are to be run.
    """
    before: Figures = {}
    if out is not None and out.exists():
        try:
            before = dict(json.loads(out.read_text()))
        except (OSError, ValueError, TypeError):
            raise StorageError(
                "this is no file of figures, and would be overwritten",
                where=str(out),
                do="Name another one with --json.",
            ) from None
    left = str(before.pop(UNFINISHED, "")).split(", ")
    if any(part in left for part in parts) and about.items() <= before.items():
        return before, [part for part in parts if part in left]
    return dict(about), list(parts)


def write(out: Path, figures: Figures) -> None:
    """Write figures in one step, so that a file is never half of one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rounded = {key: value if isinstance(value, str) else round(value, 6) for key, value in figures.items()}
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps(rounded, indent=2) + "\n")
    beside.replace(out)


def main(wanted: Wanted, out: Path | None) -> list[str]:
    """Run all parts, write what was found after each of them, and return the names of those that failed."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # Opacus speaks of secure_rng for each engine
    make_ready(wanted.device)
    parts: dict[str, Callable[[], Figures]] = {
        **{f"private step of {case.key}": partial(steps, case, wanted) for case in wanted.cases},
        "noise": lambda: noise(wanted),
        "waits": lambda: waits(wanted),
        "secure sums": lambda: secure(wanted),
        "federations": lambda: compare(wanted),
    }
    about = machine(wanted.device) | {"on_run": "tiny" if wanted.quick else "whole"}
    figures, left = begun(out, about, list(parts))
    if len(left) < len(parts):
        print(f"{out}: continues a run that was interrupted, with {', '.join(left)}", flush=True)
    for number, name in enumerate(list(left), len(parts) - len(left) + 1):
        print(f"{name}, {number} of {len(parts)} ...", flush=True)
        began = time.perf_counter()
        try:
            figures |= parts[name]()
        except Exception as error:  # noqa: BLE001  # what one part cannot do says nothing of the others
            said = (str(error).splitlines() or [""])[0][:150]
            print(f"{name} failed: {type(error).__name__}: {said}", file=sys.stderr, flush=True)
            continue
        left.remove(name)
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
        if out is not None:
            write(out, figures | ({UNFINISHED: ", ".join(left)} if left else {}))
    show(figures)
    return left


def arguments(typed: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train on a GPU what the CPU trains, and compare.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, mps, or cpu to try this file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    parser.add_argument("--json", type=Path, help="where figures are written; by default results/gpu.json")
    return parser.parse_args(typed)


if __name__ == "__main__":
    given = arguments()
    try:
        chosen = choose(given.device)
    except WardroundError as wrong:
        print(f"Error: {wrong}", file=sys.stderr)
        raise SystemExit(wrong.exit_code) from None
    place = given.json or (None if given.quick or chosen == "cpu" else RESULTS)
    try:
        failed = main(Wanted(chosen, given.quick), place)
    except KeyboardInterrupt:
        kept = "Run the same command again to continue." if place else "Nothing was written."
        print(f"Interrupted. {kept}", file=sys.stderr)
        raise SystemExit(130) from None
    except StorageError as wrong:
        print(f"Error: {wrong}", file=sys.stderr)
        raise SystemExit(wrong.exit_code) from None
    if failed:
        print(f"Error: not measured: {', '.join(failed)}", file=sys.stderr)
        raise SystemExit(1)
