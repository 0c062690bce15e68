"""What a run needs to continue after it was stopped: one file, complete or absent, written after each round."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround_common.errors import CHECK_FILE, MessageError, OtherVersionError, StorageError
from wardround_common.messages.parameters import Fixed, Layout, metadata_of
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.results import RoundRecord
from wardround_common.storage import write_atomically
from wardround_common.strategies.contract import Moments
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_server.rounds.course import State
from wardround_server.rounds.keeping import Kept

FORMAT = "wardround checkpoint 1"
LARGEST_HEADER = 256 * 2**20  # bytes; 1,000 rounds of 50 hospitals have some 2 MB
_HISTORY = TypeAdapter(tuple[RoundRecord, ...])


def write_checkpoint(path: Path, study: Study, state: State) -> None:
    """Write the state of a run of the study; until it is whole the one before stays.

    Raises:
        StorageError: the disk is full or the folder may not be written.
    """
    arrays: dict[str, np.ndarray] = {"parameters": state.parameters}
    if state.moments:
        arrays |= {"first": state.moments.first, "second": state.moments.second}
    if state.validation:
        arrays["validation"] = state.validation.to_vector()
    if state.classes:
        arrays["classes"] = state.classes.to_vector()
    if state.kept:
        arrays["kept"] = state.kept.added
        if state.kept.validation:
            arrays["kept_validation"] = state.kept.validation.to_vector()
    if state.fixed:
        arrays["fixed"] = state.fixed.vector
    about = {
        "format": FORMAT,
        "study": study.digest(),
        "names": json.dumps(state.layout.names),
        "shapes": json.dumps(state.layout.shapes),
        "history": _HISTORY.dump_json(state.history).decode(),
    }
    if state.kept:
        about["kept"] = json.dumps({"rounds": state.kept.rounds, "value": state.kept.value})
    if state.fixed:
        about["fixed_names"] = json.dumps(state.fixed.layout.names)
        about["fixed_shapes"] = json.dumps(state.fixed.layout.shapes)
    content = save(arrays, metadata=about)
    write_atomically(path, content + hashlib.sha256(content).digest())


def read_history(path: Path) -> tuple[RoundRecord, ...]:
    """Read the rounds of a run from its checkpoint's header alone, to show them; nothing of it is verified.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = int.from_bytes(head, "little")
            if len(head) < 8 or size > LARGEST_HEADER:
                raise ValueError
            about = json.loads(file.read(size))["__metadata__"]
            return _HISTORY.validate_json(about["history"])
    except (OSError, ValueError, KeyError, TypeError):  # pydantic's and JSON's are ValueErrors
        raise StorageError("the rounds of this run cannot be read now", where=str(path), do=CHECK_FILE) from None


def read_checkpoint(path: Path, study: Study) -> State:
    """Read a checkpoint of the study.

    Raises:
        OtherVersionError: another version of Wardround wrote it.
        StorageError: there is none, it is damaged, or it is of another study.
    """
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"there is no checkpoint to resume from ({error.strerror})",
            where=str(path),
            do="Run without --resume to start from the first round.",
        ) from None
    content, checksum = stored[:-32], stored[-32:]
    damaged = StorageError(
        "the checkpoint is damaged",
        where=str(path),
        do="Restore it from your backup. Without one, delete it and start again from the first round; what earlier "
        "rounds cost in privacy still counts.",
    )
    if hashlib.sha256(content).digest() != checksum:
        raise damaged
    unlike = OtherVersionError(  # it is whole: its sums, say, have another length in this version
        "the checkpoint was written by another version of Wardround, which keeps other numbers in it",
        where=str(path),
        do="Resume or export the run with the version that began it; if that does not take this folder any more, from "
        "the copy that was made before the upgrade.",
    )
    try:
        arrays = load(content)
        about = metadata_of(content)
        if about["format"] != FORMAT:
            raise unlike
        if about["study"] != study.digest():
            raise StorageError(
                "the checkpoint is of another study or seed: the study digest differs",
                where=str(path),
                do="Use the study file and the seed that the run began with, or another --out folder.",
            )
        layout = _layout(about["names"], about["shapes"])
        fixed = None
        if "fixed" in arrays:
            fixed = Fixed(_layout(about["fixed_names"], about["fixed_shapes"]), arrays["fixed"])
        history = _HISTORY.validate_json(about["history"])
        moments = Moments(arrays["first"], arrays["second"]) if "first" in arrays else None
        parameters = arrays["parameters"]
        read = task_of(study.task).read
        validation = read(arrays["validation"], study.task) if "validation" in arrays else None
        counted = arrays.get("classes")
        classes = None if counted is None else ClassCounts.read(counted, len(study.groups))
        kept = None
        if "kept" in about:
            facts = json.loads(about["kept"])
            said = read(arrays["kept_validation"], study.task) if "kept_validation" in arrays else None
            kept = Kept(tuple(facts["rounds"]), arrays["kept"], facts["value"], said)
    except (MessageError, SafetensorError, ValueError, KeyError, ValidationError):
        raise unlike from None
    return State(layout, parameters, moments, history, validation, kept, fixed, classes)


def _layout(names: str, shapes: str) -> Layout:
    return Layout(tuple(json.loads(names)), tuple(tuple(shape) for shape in json.loads(shapes)))
