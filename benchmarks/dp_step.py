"""What a private step costs: ours and Opacus' engines over the plain step of the same network on the same batch.

One image a patient, batch and network fixed. Processor time of one thread, not time on the clock: other work on the
machine then changes little. The engines take turns, and the median of their turns counts. An engine that refuses a
network is said, and has no figure.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from measure import report
from wardround_client import networks
from wardround_client.preparation.dataset import Examples
from wardround_client.training.local_work import LocalRun, PrivacyPlan, train
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text

SIZE, NOISE, CLIP = 64, 1.0, 1.0
BATCHES = {"small-cnn": 64, "resnet18": 16}
STEPS = {"small-cnn": 6, "resnet18": 2}
TURNS = 3
ENGINES = ("hooks", "functorch", "ew", "ghost")

Step = Callable[[], None]


def study_of(network: str, batch: int, steps: int, *, private: bool) -> Study:
    """Return a study whose round is ``steps`` steps over the same ``batch`` patients."""
    study = parse_study(study_text("dp-step", dp=private))
    training = {"batch_size": batch, "local_epochs": float(steps), "optimiser": "sgd", "learning_rate": 0.01}
    training |= {"momentum": 0.0, "augmentations": (), "weight_decay": 0.0}
    model = study.model.model_copy(update={"network": network})
    return study.model_copy(update={"training": study.training.model_copy(update=training), "model": model})


def batch_of(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one batch of noise images (batch, 1, size, size) float32 and labels (batch,)."""
    stream, batch = insecure_stream(0, "dp step"), BATCHES[network]
    images = stream.uniform(batch * SIZE * SIZE).astype(np.float32).reshape(batch, 1, SIZE, SIZE)
    return images, np.arange(batch, dtype=np.int64) % 2


def ours(network: str, *, private: bool) -> Step:
    """A round of the hospital's own training: every patient is drawn in each step."""
    images, labels = batch_of(network)
    batch, steps = BATCHES[network], STEPS[network]
    examples = Examples(images, np.arange(batch), labels, np.arange(batch))
    study = study_of(network, batch, steps, private=private)
    built = networks.build(study)
    layout, start = networks.layout_of(built), networks.read_vector(built)
    plan = PrivacyPlan(1e-5, NOISE, 1.0, steps) if private else None
    stream = insecure_stream(0, "hospital")

    def turn() -> None:
        train(LocalRun(study, built, layout, examples, plan, stream), start, 1)

    return turn


def opacus(network: str, engine: str | None) -> Step:
    """A plain PyTorch loop (None), or the same loop with one of Opacus' engines."""
    images, labels = (torch.from_numpy(array) for array in batch_of(network))
    module = networks.build(study_of(network, BATCHES[network], STEPS[network], private=True))
    optimiser: torch.optim.Optimizer = torch.optim.SGD(module.parameters(), 0.01)
    criterion: nn.Module = nn.CrossEntropyLoss()
    if engine is not None:
        loader = DataLoader(TensorDataset(images, labels), BATCHES[network])
        private = PrivacyEngine().make_private(
            module=module,
            optimizer=optimiser,
            criterion=criterion,
            data_loader=loader,
            noise_multiplier=NOISE,
            max_grad_norm=CLIP,
            poisson_sampling=False,
            grad_sample_mode=engine,
        )
        module, optimiser = private[0], private[1]
        criterion = private[2] if engine == "ghost" else criterion

    def turn() -> None:
        for _ in range(STEPS[network]):
            optimiser.zero_grad()
            criterion(module(images), labels).backward()
            optimiser.step()

    return turn


def ratios(network: str) -> dict[str, float]:
    """Time all engines by turns; give each private step over its plain step."""
    makers: dict[str, Callable[[], Step]] = {
        "our plain": lambda: ours(network, private=False),
        "ours": lambda: ours(network, private=True),
        "plain": lambda: opacus(network, None),
    }
    makers |= {engine: lambda engine=engine: opacus(network, engine) for engine in ENGINES}  # type: ignore[misc]
    turns: dict[str, Step] = {}
    for name, make in makers.items():
        try:
            turn = make()
            turn()  # the first is slower
        except Exception as error:  # noqa: BLE001  # each engine refuses in its own way, and that is the finding
            print(f"{network}: {name} refuses it: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
            continue
        turns[name] = turn
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(TURNS):
        for name, turn in turns.items():
            began = time.process_time()
            turn()
            seconds[name].append(time.process_time() - began)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    key = network.replace("-", "_")
    figures = {f"{key}_ours": median["ours"] / median["our plain"]}
    figures |= {f"{key}_opacus_{name}": median[name] / median["plain"] for name in ENGINES if name in median}
    figures[f"{key}_plain_step_ms"] = 1000 * median["plain"] / STEPS[network]
    return figures


MEANINGS = {
    f"{network.replace('-', '_')}_{name}": meaning.format(network=network, batch=BATCHES[network])
    for network in BATCHES
    for name, meaning in {
        "ours": "our private step over our plain step, {network}, {batch} patients",
        "opacus_hooks": "the loop with Opacus' hooks over the plain loop",
        "opacus_functorch": "with functorch",
        "opacus_ew": "with expanded weights",
        "opacus_ghost": "with ghost clipping",
        "plain_step_ms": "the plain loop's step, in ms of processor time",
    }.items()
}


def main() -> None:
    """Measure both networks."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    figures: dict[str, float] = {}
    for network in BATCHES:
        figures |= ratios(network)
    report("dp_step", figures, MEANINGS)


if __name__ == "__main__":
    main()
