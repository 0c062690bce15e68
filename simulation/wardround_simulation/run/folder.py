"""The folder of a run: what may begin or go on there, and what it began with."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import tomli_w

from wardround_client import networks
from wardround_client.spending.ledger.store import LEDGER_NAME
from wardround_client.state.weights_files import read_weights_file
from wardround_client.training.devices import choose
from wardround_common.errors import StorageError, StudyError
from wardround_common.results.released import Released, check_start, read_released
from wardround_common.storage import read_whole, write_atomically
from wardround_common.study.file import read_study
from wardround_server.report.tracking import check_tracking
from wardround_simulation.federation import START, WEIGHTS, ledger_folder
from wardround_simulation.run.begun import is_begun
from wardround_simulation.run.plan import Plan


def _check_ledgers(plan: Plan) -> None:
    """Check that the ledgers of a run that has completed rounds are there: another would say that nothing was spent.

    Raises:
        StorageError: one is gone.
    """
    for site in plan.trainers:
        folder = ledger_folder(plan.folder / "ledgers", site.name)
        if not (folder / LEDGER_NAME).exists():
            raise StorageError(
                f"the ledger of {site.name} is gone, and this run has completed rounds",
                where=str(folder),
                do="Put the folder back as the run wrote it, or run the study again in another folder.",
            )


def check_given(plan: Plan) -> tuple[Released | None, bytes | None]:
    """Check what was given besides the hospitals, without a look at an image; return model and weights to begin with.

    Raises:
        StorageError: the folder already has a run, or none to resume; or what was named is not there.
        StudyError: the study's tracking needs what is not installed; or what it begins with was not given.
        ModelError: the weights do not fit the network.
        RoundError, DeviceError: Flower's engine is to run it, and cannot.
    """
    check_tracking(plan.study)
    released = None if plan.start is None else read_released(plan.start)
    _check_start(plan, released)
    weights = _check_weights(plan)
    if not _check_folder(plan) and plan.ledgers is not None:
        _check_before(plan, plan.ledgers)
    if plan.engine == "flower":
        from wardround_simulation.flower_engine import check_engine

        check_engine(choose(plan.device))
    return released, weights


def _check_start(plan: Plan, released: Released | None) -> None:
    """Check that the model to start from is there, and fits; a run that was begun has it.

    Raises:
        StudyError: it is not, or the study does not start from it.
    """
    start = plan.study.model.start
    if released is not None:
        check_start(plan.study, released, where=str(plan.start))
    elif start and not (plan.folder / START).exists():
        raise StudyError(
            f"the study starts from the model '{start.name}', which is not here",
            do="Give its folder: --start MODEL_FOLDER.",
        )
    elif start and hashlib.sha256(read_whole(plan.folder / START)).hexdigest() != start.model:
        raise StorageError(
            "this is not the model that the study starts from",
            where=str(plan.folder / START),
            do="Give its folder again: --start MODEL_FOLDER.",
        )


def _check_weights(plan: Plan) -> bytes | None:
    """Return the file of weights that the study names, and check that it fits; None where it names none.

    Raises:
        StudyError: it is not here, or not the study's.
        ModelError: it does not fit the network.
        StorageError: it cannot be read.
    """
    named, kept = plan.study.model.weights, plan.folder / WEIGHTS
    if named is None:
        if plan.weights is not None:
            raise StudyError("the study names no file of weights", do="Leave out --weights, or add [model.weights].")
        return None
    if plan.weights is None and not kept.exists():
        raise StudyError(
            f"the study's network begins with the file of weights '{named.name}', which is not here",
            do="Give it: --weights FILE.",
        )
    content = read_weights_file(plan.weights or kept)
    networks.build(plan.study, content)
    return content


def _continue_ledgers(plan: Plan) -> None:
    """Copy the ledgers of an earlier run, so that what it cost the same patients counts.

    Raises:
        StorageError: there are none, or they are signed with keys made from another seed.
    """
    if plan.ledgers is None:
        return
    before = _check_before(plan, plan.ledgers)
    mine = plan.folder / "ledgers"
    if mine.exists():  # of a run that was killed before it began: half of a copy, or a log of another database
        shutil.rmtree(mine)
    shutil.copytree(before, mine)


def _check_before(plan: Plan, ledgers: Path) -> Path:
    """Return where the ledgers of an earlier run are, and check that its hospitals can be these.

    Raises:
        StorageError: there are none, or they are signed with keys made from another seed.
    """
    before, study = ledgers / "ledgers", ledgers / "study.toml"
    if not before.is_dir() or not study.exists():
        raise StorageError(
            "there are no ledgers of a simulated run here",
            where=str(ledgers),
            do="Name the folder of the run that trained the model, such as runs/NAME.",
        )
    seed = read_study(study).model.seed
    if seed != plan.study.model.seed:
        raise StorageError(
            f"the ledgers of this run are signed with keys made from its seed, {seed}, and the study's is "
            f"{plan.study.model.seed}",
            where=str(ledgers),
            do=f"Give the study that seed: --seed {seed}.",
        )
    return before


def _check_folder(plan: Plan) -> bool:
    """Return whether the run was begun in its folder, and check that it may go on there, or begin.

    Raises:
        StorageError: there is a run, or none to resume; or it is of another study.
    """
    checkpoint = plan.folder / "checkpoint"
    begun = is_begun(plan.folder)
    if begun and not plan.resume:
        raise StorageError(
            "this folder already holds a run",
            where=str(plan.folder),
            do="Continue with --resume, or name another folder with --out.",
        )
    if not begun and plan.resume:
        raise StorageError(
            "there is no run to resume",
            where=str(plan.folder),
            do="Run without --resume, or name its folder with --out.",
        )
    if begun:
        _check_study(plan)
        if checkpoint.exists():
            _check_ledgers(plan)
    return begun


def claim_folder(plan: Plan, released: Released | None, weights: bytes | None) -> None:
    """Begin a run in its folder, with what it starts from beside it; one that was begun there goes on.

    Raises:
        StorageError: it can neither begin there nor go on.
    """
    if _check_folder(plan):
        return
    _continue_ledgers(plan)
    if released is not None:
        write_atomically(plan.folder / START, released.content)
    if weights is not None:
        write_atomically(plan.folder / WEIGHTS, weights)
    text = tomli_w.dumps(plan.study.tables(nulls=False))
    write_atomically(plan.folder / "study.toml", text.encode())


def _check_study(plan: Plan) -> None:
    path = plan.folder / "run.json"
    if path.exists() and _begun(path)["study"] != plan.study.digest():
        raise StorageError(
            "the run in this folder is of another study or seed: the study digest differs",
            where=str(plan.folder),
            do="Use the study file and the seed that the run began with, or another folder with --out.",
        )


def _begun(path: Path) -> dict[str, Any]:
    """Read which study and data a run began with.

    Raises:
        StorageError: the file cannot be read, or says something else.
    """
    try:
        found = json.loads(read_whole(path))
        if isinstance(found["study"], str) and isinstance(found["hospitals"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise StorageError(
        "this does not say which study and data the run began with",
        where=str(path),
        do="Put it back as the run wrote it, or start again with another --out.",
    )


def check_fingerprints(plan: Plan, fingerprints: dict[str, str]) -> None:
    """Check that the hospitals' data are those that the run began with, or note them for a run that begins.

    Raises:
        StorageError: they changed.
    """
    path = plan.folder / "run.json"
    now = {"study": plan.study.digest(), "hospitals": fingerprints}
    if not path.exists():
        write_atomically(path, json.dumps(now, indent=1).encode())
        return
    before = _begun(path)["hospitals"]
    if before != fingerprints:
        changed = sorted(n for n in {*before, *fingerprints} if before.get(n) != fingerprints.get(n))
        raise StorageError(
            f"since the run began the data changed at: {', '.join(changed)}",
            where=str(plan.folder),
            do="Use the same hospitals with the same images and labels, or start again with another --out.",
        )
