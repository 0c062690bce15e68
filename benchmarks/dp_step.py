"""What a private step costs: ours and Opacus' engines over the plain step of the same network on the same batch.

One image a patient, batch and network fixed; ``benchmarks/gpu.py`` measures the same steps on a card. Processor time
of one computing thread and of those that make noise, not time on the clock: other work on the machine then changes
less. The engines take turns, in one order and then in the other; each turn gives a ratio to the plain step of the same
turn, and the median of the ratios counts. How far they spread is measured with it, and the page faults of a step: where
one kind of step takes its memory from the system anew and the other does not, that is what is compared. An engine that
refuses a network is said, and has no figure.

``ours`` is a round of the hospital's own training over a plain round of it, noise included, and Opacus' figures include
its noise; ``ours_without_noise`` is the clipped sum alone in a bare loop. Memory is measured in a fresh process for
each: what the process takes at most beyond what it took before the network was built. Each network's figures are
written as it ends, so that a run that was interrupted goes on by naming those that are left. With ``--forms`` it
prints, and writes no figures, what ``channels_last`` and bfloat16 would make of a plain step and a clipped sum; with
``--compiled``, what ``torch.compile`` would make of them, which needs a C++ compiler and some minutes.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import multiprocessing.connection
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from gpu import Case, images_of, ours, step_study, theirs
from measure import known, most_resident, report
from wardround_client import networks
from wardround_client.tasks.registry import local_task
from wardround_client.training.bookkeeping import BookKeeping, clipping_factors

CASES = {
    "small_cnn": Case("small-cnn", 64, 64, 6),
    "resnet18": Case("resnet18", 64, 16, 2),
    "resnet18_batch32": Case("resnet18", 64, 32, 1),
    "unet": Case("unet", 128, 8, 1, dense=True),
    "densenet121": Case("densenet121", 64, 16, 1),
}
MEMORY = "resnet18"
WANTED = {
    "small_cnn_ours": 1.25,
    "resnet18_ours": 1.8,
    "resnet18_batch32_ours": 1.8,
    "unet_ours": 2.0,
    "densenet121_ours": 2.0,
    "resnet18_memory": 1.8,
}
TURNS = 3
TURNS_OF = {"small_cnn": 11}
"""More where a step is short: its ratio spreads more."""
ENGINES = ("hooks", "functorch", "ew", "ghost")

Step = Callable[[], None]


def without_noise(case: Case) -> Step:
    """Return a bare loop whose steps are clipped sums, without noise: what book-keeping costs by itself."""
    study = step_study(case, private=True)
    images, targets = (torch.from_numpy(one) for one in images_of(case.batch, case.size, 0, dense=case.dense))
    network = networks.build(study)
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    loss = local_task(study.task).loss(study.task, study.training, torch.device("cpu"))

    def turn() -> None:
        with BookKeeping(network) as books:
            for _ in range(case.steps):
                sums = books.clipped_sum(loss(network(images), targets), [1] * case.batch, 1.0)
                for weight, clipped in zip(books.weights, sums, strict=True):
                    weight.grad = clipped
                optimiser.step()

    return turn


def formed(case: Case, *, private: bool, last: bool, coarse: bool) -> tuple[Step, list[torch.Tensor]]:
    """Return a bare loop's turn with channels last, or under bfloat16, and where it puts its last clipped sum."""
    study = step_study(case, private=True)
    images, targets = (torch.from_numpy(one) for one in images_of(case.batch, case.size, 0, dense=case.dense))
    torch.manual_seed(0)
    network = networks.build(study)
    if last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has it
        images = images.to(memory_format=torch.channels_last)
    loss = local_task(study.task).loss(study.task, study.training, torch.device("cpu"))
    found: list[torch.Tensor] = []

    def losses() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            outputs = network(images)
        return loss(outputs.float(), targets)

    def turn() -> None:
        if private:
            with BookKeeping(network) as books:
                found[:] = books.clipped_sum(losses(), [1] * case.batch, 1.0)
        else:
            network.zero_grad()
            losses().mean().backward()

    return turn, found


def forms(key: str, case: Case) -> None:
    """Print what each form takes over the plain step, and by how much its clipped sum differs."""
    kinds = [(private, last, coarse) for private in (False, True) for last in (False, True) for coarse in (False, True)]
    made = {kind: formed(case, private=kind[0], last=kind[1], coarse=kind[2]) for kind in kinds}
    seconds: dict[tuple[bool, bool, bool], list[float]] = {kind: [] for kind in kinds}
    for number in range(1 + TURNS):
        for kind, (turn, _) in made.items():
            began = time.process_time()
            turn()
            if number:  # the first is slower
                seconds[kind].append(time.process_time() - began)
    exact = torch.cat([one.flatten() for one in made[True, False, False][1]])
    for kind, (_, found) in made.items():
        private, last, coarse = kind
        name = " ".join(["private" if private else "plain", *["channels_last"] * last, *["bfloat16"] * coarse])
        ratio = min(seconds[kind]) / min(seconds[kinds[0]])
        sums = torch.cat([one.flatten() for one in found]) if found else exact
        moved = f", sum moved by {float((sums - exact).norm() / exact.norm()):.4f}" if found else ""
        print(f"{key}: {name}: {ratio:.2f} of the plain step{moved}")


def compiled(case: Case) -> None:
    """Print what it takes to compile a plain step and a clipped sum, and what they take then.

    Book-keeping's hooks cannot be compiled with the network that they are in, so the clipped sum is that of gradients
    by ``torch.func``, record by record.
    """
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    study = step_study(case, private=True)
    images, targets = (torch.from_numpy(one) for one in images_of(case.batch, case.size, 0, dense=case.dense))
    network = networks.build(study)
    loss = local_task(study.task).loss(study.task, study.training, torch.device("cpu"))
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def plain(network: nn.Module) -> list[torch.Tensor]:
        network.zero_grad()
        loss(network(images), targets).mean().backward()
        return [weight.grad for weight in network.parameters() if weight.grad is not None]

    def ours() -> list[torch.Tensor]:
        with BookKeeping(network) as books:
            return books.clipped_sum(loss(network(images), targets), [1] * case.batch, 1.0)

    def one(weights: dict[str, torch.Tensor], image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return loss(torch.func.functional_call(network, weights, (image[None],)), target[None]).sum()

    def by_func(weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        rows = torch.func.vmap(torch.func.grad(one), (None, 0, 0))(weights, images, targets).values()
        norms = torch.stack([part.flatten(1).square().sum(1) for part in rows]).sum(0).sqrt()
        return [torch.tensordot(clipping_factors(norms, 1.0), part, 1) for part in rows]

    fast, fast_func = torch.compile(network), torch.compile(by_func)
    kinds: dict[str, tuple[Callable[[], list[torch.Tensor]], str]] = {
        "plain": (lambda: plain(network), "plain"),
        "plain, compiled": (lambda: plain(fast), "plain"),
        "ours": (ours, "ours"),
        "by torch.func": (lambda: by_func(weights), "ours"),
        "by torch.func, compiled": (lambda: fast_func(weights), "ours"),
    }
    exact: dict[str, torch.Tensor] = {}
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for name, (make, other) in kinds.items():
        began = sum(os.times()[:4])  # with the compiler's
        found = torch.cat([part.flatten() for part in make()])
        moved = float((found - exact.setdefault(other, found)).norm() / exact[other].norm())
        print(
            f"{name}: first in {sum(os.times()[:4]) - began:.1f} s of processor time, differs by {moved:.1e}",
            flush=True,
        )
    for _ in range(3 * TURNS):
        for name, (make, _) in kinds.items():
            began = time.process_time()
            make()
            took[name].append(time.process_time() - began)
    for name, seconds in took.items():
        print(f"{name}: {statistics.median(seconds) / statistics.median(took['plain']):.2f} of the plain step")


def makers(case: Case, engines: tuple[str, ...]) -> dict[str, Callable[[], Step]]:
    """Return how each engine's turn is made."""
    made: dict[str, Callable[[], Step]] = {
        "our plain": lambda: ours(case, "cpu", private=False),
        "ours": lambda: ours(case, "cpu", private=True),
        "plain": lambda: theirs(case, "cpu", None),
        "without noise": lambda: without_noise(case),
    }
    for engine in engines:
        made[engine] = lambda engine=engine: theirs(case, "cpu", engine)  # type: ignore[misc]
    return made


def ratios(key: str, case: Case, engines: tuple[str, ...]) -> dict[str, float]:
    """Time all engines by turns; give each private step over its plain step."""
    turns: dict[str, Step] = {}
    for name, make in makers(case, engines).items():
        try:
            turn = make()
            turn()  # the first is slower
        except Exception as error:  # noqa: BLE001  # each engine refuses in its own way, and that is the finding
            print(f"{key}: {name} refuses it: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
            continue
        turns[name] = turn
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    faults: dict[str, list[int]] = {name: [] for name in turns}
    for number in range(TURNS_OF.get(key, TURNS)):
        for name in list(turns) if number % 2 else reversed(list(turns)):
            began, before = time.process_time(), page_faults()
            turns[name]()
            seconds[name].append(time.process_time() - began)
            faults[name].append(page_faults() - before)

    def over(name: str, plain: str) -> list[float]:
        return sorted(one / other for one, other in zip(seconds[name], seconds[plain], strict=True))

    ours = over("ours", "our plain")
    figures = {f"{key}_ours": statistics.median(ours)}
    figures[f"{key}_ours_low"], figures[f"{key}_ours_high"] = ours[len(ours) // 4], ours[-1 - len(ours) // 4]
    figures[f"{key}_ours_without_noise"] = statistics.median(over("without noise", "plain"))
    figures |= {f"{key}_opacus_{name}": statistics.median(over(name, "plain")) for name in engines if name in turns}
    figures[f"{key}_plain_step_ms"] = 1000 * statistics.median(seconds["plain"]) / case.steps
    for name, word in (("ours", "ours"), ("our plain", "plain")):
        figures[f"{key}_{word}_faults"] = statistics.median(faults[name]) / case.steps
    return figures


def page_faults() -> int:
    """Return how often this process has got a page of memory from the system."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak(case: Case, name: str, said: multiprocessing.connection.Connection) -> None:
    """Say how many bytes two turns of an engine take at most, the network and its optimiser included."""
    quiet()
    nn.Linear(1, 1)(torch.ones(1, 1)).sum().backward()
    networks.build(step_study(case, private=True))  # imports are not counted
    engines = (name,) if name in ENGINES else ()
    if engines:
        import opacus  # noqa: F401
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    turn = makers(case, engines)[name]()
    turn()
    turn()
    said.send(most_resident() - before)


def memory(case: Case) -> dict[str, float]:
    """Measure the peaks of each engine, each in a process of its own, over the plain loop's."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, float] = {}
    for name in ("plain", "ours", "hooks", "ghost"):
        heard, said = context.Pipe(duplex=False)
        child = context.Process(target=peak, args=(case, name, said))
        child.start()
        said.close()  # so that waiting ends with the child, whatever becomes of it
        try:
            found[name] = heard.recv()
        except EOFError:
            raise SystemExit(f"memory: {name} ended before it was measured; what it printed says why") from None
        finally:
            child.join()
    return {
        "resnet18_memory": found["ours"] / found["plain"],
        "resnet18_memory_opacus_hooks": found["hooks"] / found["plain"],
        "resnet18_memory_opacus_ghost": found["ghost"] / found["plain"],
        "resnet18_memory_plain_mib": found["plain"] / 2**20,
    }


def meanings() -> dict[str, str]:
    """Return what each figure means."""
    found: dict[str, str] = {
        "resnet18_memory": "our private step's peak memory over the plain loop's",
        "resnet18_memory_opacus_hooks": "with Opacus' hooks",
        "resnet18_memory_opacus_ghost": "with ghost clipping",
        "resnet18_memory_plain_mib": "the plain loop's peak, beyond the process's own, in MiB",
        "resnet18_memory_load": "other work on the machine while it was measured: the load average",
    }
    for key, case in CASES.items():
        found |= {
            f"{key}_load": "other work on the machine while it was measured: the load average",
            f"{key}_ours": f"our private round over our plain one, {case.network}, {case.batch} of {case.size} px",
            f"{key}_ours_low": "the lower quartile of its turns",
            f"{key}_ours_high": "the upper quartile of its turns",
            f"{key}_ours_faults": "page faults of a private step of ours",
            f"{key}_plain_faults": "page faults of a plain step of ours",
            f"{key}_ours_without_noise": "the clipped sum in a bare loop, without noise",
            f"{key}_opacus_hooks": "the loop with Opacus' hooks over the plain loop",
            f"{key}_opacus_functorch": "with functorch",
            f"{key}_opacus_ew": "with expanded weights",
            f"{key}_opacus_ghost": "with ghost clipping",
            f"{key}_plain_step_ms": "the plain loop's step, in ms of processor time",
        }
    return {
        key: f"{meaning} (wanted: at most {WANTED[key]})" if key in WANTED else meaning
        for key, meaning in found.items()
    }


def quiet() -> None:
    """Compute with one thread, and let nobody warn."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # Opacus speaks of secure_rng for each engine


def main(only: list[str], *, alone: bool, in_forms: bool, by_compiler: bool) -> None:
    """Measure the networks that are named, or all, and keep what an earlier run found of the others."""
    quiet()
    if by_compiler:
        compiled(Case("small-cnn", 32, 64, 1))
        return
    if in_forms:
        for key, case in CASES.items():
            if not only or key in only:
                forms(key, case)
        return
    engines = () if alone else ENGINES
    parts: dict[str, Callable[[], dict[str, float]]] = {
        key: lambda key=key, case=case: ratios(key, case, engines)  # type: ignore[misc]
        for key, case in CASES.items()
    }
    parts["memory"] = lambda: memory(CASES[MEMORY])
    for key, measure in parts.items():
        if only and key not in only:
            continue
        figures = measure()
        figures[f"{MEMORY}_memory_load" if key == "memory" else f"{key}_load"] = os.getloadavg()[1]
        refused = {f"{key}_opacus_{engine}" for engine in engines}
        stays = {name: value for name, value in known("dp_step").items() if name not in refused}
        report("dp_step", figures, meanings(), stays)


def options(given: list[str] | None = None) -> argparse.Namespace:
    """Read what is to be measured; a network that a form of the measurement does not take is refused."""
    parser = argparse.ArgumentParser(description="What a private step costs over the plain step.")
    parser.add_argument("only", nargs="*", choices=[*CASES, "memory", []], help="what to measure; all if left out")
    parser.add_argument("--alone", action="store_true", help="without Opacus' engines")
    parser.add_argument("--forms", action="store_true", help="time channels_last and bfloat16, and write no figures")
    parser.add_argument("--compiled", action="store_true", help="time torch.compile at 32 px, and write no figures")
    found = parser.parse_args(given)
    if found.compiled and found.only:
        parser.error("--compiled is of small-cnn at 32 px alone: name no network with it")
    if found.forms and "memory" in found.only:
        parser.error("--forms takes no memory: name networks with it")
    return found


if __name__ == "__main__":
    given = options()
    main(given.only, alone=given.alone, in_forms=given.forms, by_compiler=given.compiled)
