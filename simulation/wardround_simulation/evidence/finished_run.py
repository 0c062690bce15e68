"""A finished run, read back and checked: what an evidence pack is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wardround_client import networks
from wardround_client.site_shift.parts import parts_of
from wardround_common.documents.exported_run import APPROVALS, Approval, read_approvals
from wardround_common.errors import CHECK_FILE, ModelError, StorageError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.results import DEPLOYED, Results
from wardround_common.results.model_folder import MODEL, STUDY
from wardround_common.study.file import read_study
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.exported_model import check_not_a_coordinators

FILES = (MODEL, STUDY, "results.json", "run.json", "report.html")


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder whose parts fit each other."""

    folder: Path
    results: Results
    fingerprints: dict[str, str]
    """By hospital, of its data; empty words of a deployed run, whose coordinator knows none."""
    model: Vector = field(repr=False)
    approvals: tuple[Approval, ...] = ()
    """Of a deployed run: each hospital's signature under its approval, checked."""

    @property
    def deployed(self) -> bool:
        """Whether hospitals made the model, and not a simulation."""
        return self.results.engine == DEPLOYED

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a pack speaks of."""
        return (*FILES, APPROVALS) if self.deployed else FILES


def read_run(folder: Path) -> FinishedRun:
    """Read a run's folder, or what 'wardround coordinator export' made of a deployed run.

    Raises:
        StorageError: there is no run, it is not finished, or its files are of different runs.
        MessageError: an approval of a deployed run is not signed by the hospital.
        ModelError: the model is not the one that the run made.
    """
    if not (folder / "run.json").is_file():
        raise StorageError(
            "there is no run here",
            where=str(folder),
            do="Name the folder of a run: 'wardround simulate STUDY.toml' writes one.",
        )
    check_not_a_coordinators(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise StorageError(
            f"the run is not finished: there is no {missing[0]}",
            where=str(folder),
            do="Finish it: run the command that started it with --resume.",
        )
    results = Results.from_json(_text(folder / "results.json"), where=str(folder / "results.json"))
    run = _facts(folder / "run.json")
    digests = {
        "study.toml": read_study(folder / "study.toml").digest(),
        "run.json": run[0],
    }
    for name, digest in digests.items():
        if digest != results.study_digest:
            raise StorageError(
                "this is of another study than results.json: the study digest differs",
                where=str(folder / name),
                do="Put back the file that the run wrote, or run the study again.",
            )
    if set(run[1]) != {hospital.name for hospital in results.hospitals}:
        raise StorageError("results.json has other hospitals than run.json", where=str(folder))
    approvals: tuple[Approval, ...] = ()
    if results.engine == DEPLOYED:
        approvals = read_approvals(folder / APPROVALS, results.study)
        if not {hospital.name for hospital in results.hospitals} <= {one.hospital for one in approvals}:
            raise StorageError("a hospital took part whose approval is not here", where=str(folder / APPROVALS))
    return FinishedRun(folder, results, run[1], _read_model(folder, results), approvals)


def digest_of(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise StorageError("the file cannot be read", where=str(path), do=CHECK_FILE) from None


def _facts(path: Path) -> tuple[str, dict[str, str]]:
    """Return the study digest and the hospitals' fingerprints of ``run.json``."""
    try:
        facts = json.loads(_text(path))
        return str(facts["study"]), {str(name): str(print_) for name, print_ in facts["hospitals"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StorageError("this is not what a run wrote", where=str(path)) from None


def _read_model(folder: Path, results: Results) -> Vector:
    path = folder / MODEL
    content = path.read_bytes()
    network = networks.build(results.study)
    layout = parts_of(network, results.study).shared
    if results.study.model.train == "all":
        vector = networks.read_weights(content, results.study, layout, where=str(path))
    else:
        vector = networks.read_whole(content, results.study, network, where=str(path))
    _check_against_checkpoint(folder, results, layout, vector)
    return vector


def _check_against_checkpoint(folder: Path, results: Results, layout: Layout, model: Vector) -> None:
    path = folder / "checkpoint"
    if not path.exists():
        return
    last = read_checkpoint(path, results.study)
    if last.layout.names != layout.names or not np.array_equal(last.chosen.model, model):
        raise ModelError(
            "the model is not the one that the run kept",
            where=str(folder / MODEL),
            do="Put back the model that the run wrote, or finish the run: repeat its command with --resume.",
        )
