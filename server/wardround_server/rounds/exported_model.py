"""A finished run's model as a folder that a hospital can use: of a simulation and of a deployment, the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from wardround_common.documents.exported_run import study_toml
from wardround_common.errors import ModelError, StorageError
from wardround_common.messages.parameters import check_model
from wardround_common.results import ALL, DEPLOYED, FEDERATED, Results
from wardround_common.results.model_folder import (
    CARD,
    MODEL,
    STUDY,
    Card,
    Judgement,
    PrivacyClaim,
    read_model_folder,
)
from wardround_common.storage import write_atomically
from wardround_common.study.file import DpSgd, Study
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.course import State

REPORT, RESULTS = "report.html", "results.json"
COPIED = (MODEL, REPORT, RESULTS)


def check_over(run: Path, do: str) -> None:
    """Check that a run has all that is exported: the report is written last, after the test patients were asked.

    Raises:
        StorageError: it has not; ``do`` says what to do then.
    """
    if not run.is_dir():
        raise StorageError("there is no such folder", where=str(run), do="Name the folder of a finished run.")
    if (run / CARD).exists():  # its checkpoint is not there, of which the temperature is fitted
        raise StorageError(
            "this is an exported model already", where=str(run), do="Copy the folder, or name that of the run."
        )
    lacking = [name for name in COPIED if not (run / name).exists()]
    if lacking:
        raise StorageError(
            f"this run has no {Path(lacking[0]).stem} yet: there is nothing to export before it is over",
            where=str(run),
            do=do,
        )


def export_model(run: Path, study: Study, out: Path) -> list[str]:
    """Write a finished run's model folder and read it back; name its files.

    Raises:
        StorageError: a file cannot be read or written, or is of another run, or ``out`` holds anything else.
        ModelError: the model is not the one that the run made.
    """
    results = Results.from_json(_text(run / RESULTS), where=str(run / RESULTS))
    if results.study_digest != study.digest():
        raise StorageError(
            "this is of another study than the run: the study digest differs",
            where=str(run / RESULTS),
            do="Put back the file that the run wrote, or run the study again.",
        )
    _check_out(out, study)
    contents = {name: _bytes(run / name) for name in COPIED}
    contents[STUDY] = study_toml(study).encode()
    state = _state(run, study, contents[MODEL])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    card = make_card(results, state, digests)
    for name, content in contents.items():
        write_atomically(out / name, content)
    write_atomically(out / CARD, card.content())  # last: a folder that is cut off has no card
    read_model_folder(out)
    return [*contents, CARD]


def _check_out(out: Path, study: Study) -> None:
    """Check that a folder is new, empty, or one that an export of the study wrote or began."""
    if not out.is_dir():
        return
    if (out / CARD).exists():
        if read_model_folder(out).card.study_digest != study.digest():
            raise StorageError("this folder holds another model", where=str(out), do="Name a new folder with --out.")
    elif {path.name for path in out.iterdir()} - {*COPIED, STUDY}:
        raise StorageError(
            "this folder holds other files, and nothing is written among them",
            where=str(out),
            do="Name a new folder with --out.",
        )


def make_card(results: Results, state: State | None, files: dict[str, str]) -> Card:
    """Say what must be known of a run's model; without the run's ``state`` no temperature can be fitted."""
    study, judged = results.study, results.evaluation.get(FEDERATED, {})
    task = task_of(study.task)
    site = judged.get(ALL) or (next(iter(judged.values())) if len(judged) == 1 else None)
    validation: Sums | None = state.chosen.validation if state else None
    point = site.threshold if site else task.point(validation, study.evaluation.sensitivity) if validation else None
    return Card(
        name=results.run,
        wardround=importlib.metadata.version("wardround"),
        engine=results.engine,
        task=study.task.name,
        classes=study.groups,
        study_digest=results.study_digest,
        rounds=results.kept_rounds or _last(results),
        point=point,
        temperature=task.temperature(validation) if validation else None,
        validation_images=validation.records if validation else 0,
        privacy=_privacy(results),
        judgement=None
        if site is None
        else Judgement(
            patients=site.patients,
            images=site.images,
            metrics={name: estimate.value for name, estimate in site.metrics.items()},
        ),
        files=files,
    )


def _last(results: Results) -> tuple[int, ...]:
    """Return the last round that changed the model, where it is not on record which was kept."""
    counted = [record.number for record in results.rounds if record.counted]
    return tuple(counted[-1:])


def _privacy(results: Results) -> PrivacyClaim | None:
    privacy = results.study.privacy
    if not isinstance(privacy, DpSgd):
        return None
    spent = max((one.privacy.epsilon for one in results.hospitals if one.privacy), default=privacy.epsilon)
    bound = f"No patient spent more than epsilon {spent:.3g} at delta {privacy.delta:g}"
    if results.engine != DEPLOYED:
        words = (
            f"{bound}, if noise is secret; this run was simulated, its noise came from the seed and protects nobody."
        )
    elif privacy.trust == "distributed":
        words = f"{bound}, against anyone who reads the sums over hospitals and the model."
    else:
        words = f"{bound}, against anyone who reads a hospital's updates or the model."
    return PrivacyClaim(epsilon=spent, delta=privacy.delta, trust=privacy.trust, statement=words)


def _state(run: Path, study: Study, weights: bytes) -> State | None:
    """Return what the run knew after its last round, whose model the exported one must be."""
    where = str(run / MODEL)
    check_model(weights, study.digest(), where=where)
    try:
        tensors = load(weights)
    except (SafetensorError, ValueError, KeyError):
        raise ModelError("this is not a model of Wardround", where=where, do="Run the study again.") from None
    if not (run / "checkpoint").exists():
        return None
    state = read_checkpoint(run / "checkpoint", study)
    same = tensors.keys() == {*state.layout.names} and all(
        np.array_equal(tensors[name], part) for name, part in state.layout.tensors(state.chosen.model).items()
    )
    if not same:
        raise ModelError(
            "the model is not the one that the run kept",
            where=where,
            do="Put back the model that the run wrote, or finish the run: repeat its command with --resume.",
        )
    return state


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"the file cannot be read ({error.strerror})", where=str(path)) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError:
        raise StorageError("the file cannot be read", where=str(path)) from None
