"""A hospital's own complete model: the shared one with the part that the hospital kept for itself, as a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardround_client import networks
from wardround_client.site_shift.kept import Kept
from wardround_client.site_shift.parts import parts_of
from wardround_common.documents.model_release import check_files
from wardround_common.errors import StorageError, StudyError
from wardround_common.results.model_folder import CARD, MODEL, STUDY, read_model_folder
from wardround_common.results.unlike import UNLIKE
from wardround_common.results.weights_file import weights_content
from wardround_common.storage import write_atomically
from wardround_common.study.privacy import DpSgd


@dataclass(frozen=True)
class OwnModel:
    """What was written."""

    folder: Path
    round: int
    """The hospital's last one."""
    said: str
    """Which part of it is the hospital's own, and what that means for privacy."""


Note = Callable[[str, int, str], None]
"""Is told the study's digest, the round and the SHA-256 of the weights' file."""


def write_own_model(model: Path, kept: Path, out: Path, note: Note = lambda study, number, digest: None) -> OwnModel:
    """Write a hospital's own model into a new folder that 'predict', 'evaluate' and 'explain' read.

    ``kept`` is the file in which the hospital keeps its part. Nobody has signed what is written. ``note`` is called
    once everything has been read, and before a file is written.

    Raises:
        StorageError: a file is missing, damaged or of another study, or ``out`` holds anything.
        StudyError: nothing of this model is a hospital's own.
        ModelError: the weights are not those of the study's network.
    """
    found = read_model_folder(model)
    check_files(model)
    study, measure = found.study, found.study.training.measure
    if measure is None:
        raise StudyError(
            "nothing of this model is a hospital's own: all of it is shared",
            where=str(model),
            do="Use it as it is: wardround predict MODEL FOLDER.",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError("this is there already", where=str(out), do="Name a new folder with --out.")
    network = networks.build(study)
    parts, whole = parts_of(network, study), networks.layout_of(network)
    own = Kept(kept, study.digest(), parts.first)
    if not own.trained():
        raise StorageError(
            "this hospital keeps no part of this model: it was in no round of the study",
            where=str(kept),
            do="Name the state folder of a hospital that trained it with --state.",
        )
    where = str(model / MODEL)
    networks.write_vector(network, parts.shared, networks.read_weights(found.weights, study, parts.shared, where=where))
    networks.write_vector(network, parts.own, own.now())
    # Beside private steps a model of its own is trained without noise, and nothing was chosen for it.
    apart = measure.beside and isinstance(study.privacy, DpSgd)
    contents = {MODEL: weights_content(study, whole, networks.read_vector(network))}
    contents[STUDY] = (model / STUDY).read_bytes()
    if UNLIKE in found.card.files and not apart:
        contents[UNLIKE] = (model / UNLIKE).read_bytes()
    without = {"point": None, "temperature": None, "validation_images": 0, "unlike": None} if apart else {}
    card = found.card.model_copy(
        update={
            "judgement": None,  # which is over all hospitals, each with its own part
            "privacy": None if measure.beside else found.card.privacy,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())},
            **without,
        }
    )
    note(study.digest(), own.trained(), card.files[MODEL])
    for name, content in contents.items():
        write_atomically(out / name, content, private=True)
    write_atomically(out / CARD, card.content(), private=True)
    read_model_folder(out)
    private = f" {measure.private}" if isinstance(study.privacy, DpSgd) else ""
    return OwnModel(out, own.trained(), f"{measure.stays}{private}")
