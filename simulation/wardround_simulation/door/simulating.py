"""``simulate`` as a function: a study and its hospitals in, the results out; the command prints what this returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wardround_client.training.devices import CPU, choose, describe
from wardround_common.arguments import checked
from wardround_common.shell.imports import at_once
from wardround_simulation.door.participants import Hospitals, Pool, Reading, sites_of

if TYPE_CHECKING:  # torch takes two seconds to import: an error in the study comes without it
    import torch
    from torch import nn

    from wardround_client.spending.policy import Policy
    from wardround_common.registry import Brought
    from wardround_common.strategies.contract import Strategy
    from wardround_common.study.file import Study
    from wardround_simulation.door.outcome import Results
    from wardround_simulation.run.plan import Progress, Show
    from wardround_simulation.workers import Workers

Engine = Literal["in-process", "flower"]


@checked
def simulate(
    study: Study | Path | str,
    hospitals: Hospitals | None,
    *,
    network: Callable[..., nn.Module] | None = None,
    strategy: Strategy | Callable[[Any, Any], Any] | None = None,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    give_up: bool = False,
    workers: int | None = None,
    device: str = "auto",
    baselines: bool = True,
    leave_one_out: bool = False,
    labels: str | None = None,
    label_attribute: str | None = None,
    allow: Collection[str] = (),
    confirm_patients: Collection[str] = (),
    engine: Engine = "in-process",
    state: Path | str | None = None,
    policy: Path | str | None = None,
    start: Path | str | None = None,
    ledgers: Path | str | None = None,
    weights: Path | str | None = None,
    progress: bool | Callable[[Progress], None] = True,
) -> Results:
    """Simulate a federation on this machine, with the code that hospitals and coordinator run.

    An interrupted run is continued by the same call with ``resume=True``, and ends with the same model.

    Args:
        study: a study, or the path of a study file.
        hospitals: a folder with one sub-folder for each hospital; what :func:`pool` returns; or each hospital's data by
            its name: arrays ``(images, targets, patients)``, a mapping of these, or a dataset of torch or MONAI whose
            items have image, target and patient; or a folder. Images are (images, channels, height, width) from 0 to 1.
        network: your own network in the place of the study's: the class, or a function, that makes a torch.nn.Module
            from those of ``channels``, ``outputs``, ``norm`` and ``dims`` that it names.
        strategy: your own strategy: a function from parameters and mean update, (parameters,) each, to the next
            parameters; or a :class:`Strategy`, which may remember something.
        loss: your own loss: from outputs (records, outputs, ...) and targets to one number for each record.
        out: folder of the run; None for ``runs/NAME`` of the study.
        resume: continue from the last completed round.
        give_up: with ``resume``: skip a round that can no longer be summed; its cost still counts.
        workers: number of training processes; None for one a core, one on a card, or one with code of your own, which
            several can have only if it stands in a module that they can import.
        device: auto, cpu, cuda, cuda:1 or mps.
        baselines: also train on each hospital's data alone, and on all data pooled.
        leave_one_out: also train without each hospital in turn, and judge the model there.
        labels: name of the label file in each hospital's folder.
        label_attribute: DICOM keyword of the attribute that holds the label.
        allow: findings that do not refuse a file.
        confirm_patients: guesses of who is a patient that hold.
        engine: ``in-process``, or Flower's own on Ray, ``flower``.
        state: where indexes and prepared images are kept; None for the user's cache.
        policy: file with the policy of every hospital.
        start: folder of the released model that the study starts from; a resumed run has it.
        ledgers: folder of the run that trained that model: its hospitals continue their ledgers.
        weights: file of weights that the study's network begins with; a resumed run has it.
        progress: whether progress is shown, on standard error; or a function that is told of each step.

    Raises:
        StudyError: the study is wrong, or does not fit the hospitals.
        DataError: a hospital's images or labels cannot be used.
        PrivacyError: what is asked for would break a privacy promise.
        DeviceError: the device that is to train is not here.
        RoundError: too few hospitals answered in a round.
        StorageError: the folder already has a run, or cannot be written; completed rounds are kept.
    """
    parsed = as_study(study)
    reading = Reading(labels, label_attribute, allow, confirm_patients, state)
    folder = Path("runs") / parsed.study.name if out is None else Path(out)
    chosen = choose(device)
    brought: tuple[Brought, ...] = ()
    if network is not None or strategy is not None or loss is not None:
        from wardround_simulation.own_code import check_sent, with_own

        parsed, brought = with_own(parsed, network, strategy, loss)
        workers = 1 if workers is None else workers
        if workers > 1 or engine == "flower":
            check_sent(brought, engine)
    with crew_of(workers, chosen, brought) as crew:
        with at_once():
            sites = sites_of(hospitals, reading, folder)
            from wardround_simulation.door.outcome import Results
            from wardround_simulation.run.folder import check_given
            from wardround_simulation.run.plan import Plan
            from wardround_simulation.run.simulate import simulate as simulate_plan

        rules = _policy(policy)
        first, before, given = (None if each is None else Path(each) for each in (start, ledgers, weights))
        plan = Plan(
            parsed, (), folder, resume, baselines, engine, give_up, rules, leave_one_out, chosen, first, before, given
        )
        if isinstance(hospitals, Pool):  # to cut it, all of its images are read
            check_given(plan)
        plan = replace(plan, sites=sites(parsed))
        with shown(chosen, progress=progress) as show:
            return Results(simulate_plan(plan, crew, show), folder)


def as_study(study: Study | Path | str) -> Study:
    """Return a study, which is read if it is the path of a file.

    Raises:
        StudyError: the file cannot be read, or is no study.
    """
    if not isinstance(study, Path | str):
        return study
    from wardround_common.study.file import read_study

    return read_study(Path(study))


def shown(device: str, *, progress: bool | Show) -> AbstractContextManager[Show]:
    """Return what shows how far a run is, after saying what trains if that is not the processor."""
    if not isinstance(progress, bool):
        return nullcontext(progress)
    if not progress:
        return nullcontext(_nothing)
    from rich.console import Console

    from wardround_simulation.display import Display

    console = Console(stderr=True)
    if device != CPU:
        console.print(f"Training on {describe(device)}")
    return Display(console)


def _nothing(progress: Progress) -> None:
    """Show nothing."""


def _policy(file: Path | str | None) -> Policy | None:
    if file is None:
        return None
    from wardround_client.spending.policy import read_policy

    return read_policy(Path(file))


@contextmanager
def crew_of(count: int | None, device: str, brought: tuple[Brought, ...] = ()) -> Iterator[Workers]:
    """Start the workers, which import torch while this process reads what it needs, and end them.

    On a card one worker is the default: all hospitals share what that process has on it.
    """
    from wardround_simulation.workers import start_workers

    usual = len(os.sched_getaffinity(0)) if device == CPU else 1
    workers = start_workers(usual if count is None else count, brought)
    try:
        yield workers
    finally:
        workers.close()
