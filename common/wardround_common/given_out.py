"""Documents that are for somebody else, written where a person finds them; nothing of that person's is overwritten."""

from __future__ import annotations

from pathlib import Path

from wardround_common.enrolment import Invitation, Request
from wardround_common.epsilon_statement import EpsilonStatement
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import write_atomically


def give_out(path: Path, document: Request | Invitation | EpsilonStatement) -> None:
    """Write a document; in the place of an earlier one of the same kind for the same hospital, and of nothing else.

    A statement takes the place of one of the same study only.

    Raises:
        StorageError: another file is there, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        try:
            replaced = _about(type(document).read(path)) == _about(document)
        except MessageError:
            replaced = False
        if not replaced:
            raise StorageError(
                "there is another file of this name", where=str(path), do="Move it away, or name another with --out."
            )
    write_atomically(path, document.content())


def _about(document: Request | Invitation | EpsilonStatement) -> tuple[str, str]:
    return document.hospital, document.study if isinstance(document, EpsilonStatement) else ""
