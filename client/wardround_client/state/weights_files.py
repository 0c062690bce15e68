"""Files of weights that studies' networks begin with, as a hospital's people gave them: kept by their SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wardround_common.errors import CHECK_FILE, ModelError, StorageError, StudyError
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study

FOLDER = "weights"
LARGEST_BYTES = 4 * 1024**3


def read_weights_file(path: Path) -> bytes:
    """Read a file of weights.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is larger than any network that is trained here.
    """
    try:
        if path.is_dir():
            raise StorageError(
                "this is a folder, and not a file of weights",
                where=str(path),
                do="Name the file in it; in a MONAI bundle that is models/model.pt or models/model.safetensors.",
            )
        if path.stat().st_size > LARGEST_BYTES:
            raise ModelError("this file is larger than any network that is trained here", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"the file cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE) from None


def keep_weights(folder: Path, study: Study, path: Path) -> str:
    """Keep the file that a study names below a hospital's folder; return a sentence for its people.

    Raises:
        StudyError: the study names none, or another one.
        StorageError: it cannot be read or written.
    """
    named = study.model.weights
    if named is None:
        raise StudyError("the study names no file of weights", do="Leave out --weights.")
    content = read_weights_file(path)
    if hashlib.sha256(content).hexdigest() != named.file:
        raise StudyError(
            f"this is not the file of weights '{named.name}': its SHA-256 is not that of the study",
            where=str(path),
            do="Give the file that the study names.",
        )
    write_atomically(folder / FOLDER / named.file, content)
    return f"The file of weights '{named.name}' is the one that the study names; it is kept here."


def kept_weights(folder: Path, study: Study) -> bytes | None:
    """Return the file that a study names; None where it names none.

    Raises:
        StudyError: it was not given here.
    """
    named = study.model.weights
    if named is None:
        return None
    try:
        return (folder / FOLDER / named.file).read_bytes()
    except OSError:
        raise StudyError(
            f"the study's network begins with the file of weights '{named.name}' (SHA-256 {named.file}), which is not "
            "here",
            do=f"Approve with the file: wardround hospital approve {study.study.name} --weights FILE",
        ) from None
